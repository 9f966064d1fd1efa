"""Stock schedulers fed with the exact answer for Gaussian data must end at that Gaussian.

For x0 ~ N(MEAN, SPREAD^2) and z = a x0 + b eps the best prediction has a closed form, and the probability-flow ODE maps
z linearly. A wrong sign, scale or time convention between training and scheduler moves the mean or the spread.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EDMEulerScheduler

from generation.training.components import build_pipeline
from generation.training.formulations.formulation import Formulation, formulation
from generation.training.formulations.schedulers import ddim_scheduler_for, scheduler_for, variance_preserving_options

MEAN, SPREAD = 1.5, 0.5
SAMPLED = ["rf", "rf/lognorm(0,1)", "rf/mode(1.29)", "eps/linear", "v/linear", "v/cos", "eps/cos"]


def linear_coefficients(told: float) -> tuple[float, float]:
    roots = np.linspace(math.sqrt(0.00085), math.sqrt(0.012), 1000)[: int(told) + 1]
    squared = float(np.prod(1 - roots**2))
    return math.sqrt(squared), math.sqrt(1 - squared)


def coefficients(chosen: Formulation, told: float) -> tuple[float, float]:
    """(a, b) at what the network is told, written down anew."""
    if "linear" in chosen.name:
        return linear_coefficients(told)
    t = told / 1000
    return (1 - t, t) if chosen.name.startswith("rf") else (math.cos(math.pi / 2 * t), math.sin(math.pi / 2 * t))


def best_prediction(chosen: Formulation, z: torch.Tensor, told: float) -> torch.Tensor:
    """E[target | z] for Gaussian data."""
    a, b = coefficients(chosen, told)
    variance = a**2 * SPREAD**2 + b**2
    x0 = MEAN + a * SPREAD**2 / variance * (z - a * MEAN)
    eps = b / variance * (z - a * MEAN)
    return {"rf": eps - x0, "eps": eps, "v": a * eps - b * x0}[chosen.name.split("/")[0]]


def standard_normal(count: int = 4001) -> torch.Tensor:
    """Quantiles of N(0, 1): samples without sampling error, mean 0 and standard deviation .9998."""
    quantiles: torch.Tensor = torch.special.ndtri((torch.arange(count, dtype=torch.float64) + 0.5) / count)
    return quantiles


def sampled(chosen: Formulation, scheduler: Any, steps: int) -> tuple[float, float]:
    """Mean and standard deviation of what the scheduler makes, called as StableDiffusion3Pipeline calls it."""
    scheduler.set_timesteps(steps)
    z = standard_normal()
    for timestep in scheduler.timesteps:
        answer = best_prediction(chosen, z, timestep.item())
        z = scheduler.step(answer, timestep, z, return_dict=False)[0]
    return z.mean().item(), z.std().item()


def expected(chosen: Formulation) -> tuple[float, float]:
    """What the exact ODE makes of N(0, 1) noise at the last grid time; latent diffusion keeps some picture there."""
    a, b = coefficients(chosen, 1000 if chosen.name.startswith("rf") else 999)
    ratio = SPREAD / math.sqrt(a**2 * SPREAD**2 + b**2)
    return MEAN - ratio * a * MEAN, ratio


SHIPPED = [(name, scheduler_for) for name in SAMPLED]
DDIM = [(name, ddim_scheduler_for) for name in SAMPLED if not name.startswith("rf")]


@pytest.mark.parametrize(("name", "schedulers"), [*SHIPPED, *DDIM])
def test_many_steps_end_at_the_data(name: str, schedulers: Callable[[Formulation], Any]) -> None:
    chosen = formulation(name)
    mean, spread = sampled(chosen, schedulers(chosen), 1000)
    assert (mean, spread) == pytest.approx(expected(chosen), abs=0.003)
    assert (mean, spread) == pytest.approx((MEAN, SPREAD), abs=0.055 if "linear" in name else 0.003)


@pytest.mark.parametrize("name", ["rf", "eps/linear", "v/linear", "v/cos", "eps/cos"])
def test_the_stock_pipeline_samples_with_the_stored_scheduler(name: str, tmp_path: Path) -> None:
    """StableDiffusion3Pipeline itself, its transformer answering with the closed form: 28 steps, as people see it."""
    chosen = formulation(name)
    pipeline = build_pipeline(layers=1, heads=2)
    scheduler_for(chosen).save_pretrained(tmp_path)
    pipeline.scheduler = type(scheduler_for(chosen)).from_pretrained(tmp_path)

    def answer(hidden_states: torch.Tensor, timestep: torch.Tensor, **_: Any) -> tuple[torch.Tensor]:
        return (best_prediction(chosen, hidden_states, timestep[0].item()),)

    pipeline.transformer.forward = answer
    pipeline.set_progress_bar_config(disable=True)
    generators = [torch.Generator("cpu").manual_seed(seed) for seed in range(8)]
    made = pipeline(
        ["a red circle"] * 8,
        num_inference_steps=28,
        guidance_scale=1,
        height=64,
        width=64,
        max_sequence_length=1,
        generator=generators,
        output_type="latent",
    ).images
    # 24,576 latents: the standard error of their mean is .003.
    assert (made.mean().item(), made.std().item()) == pytest.approx(
        sampled(chosen, scheduler_for(chosen), 28), abs=0.01
    )


@pytest.mark.parametrize("name", SAMPLED)
def test_schedulers_ask_for_the_times_of_training(name: str) -> None:
    chosen = formulation(name)
    scheduler = scheduler_for(chosen)
    for steps in (1, 4, 28, 50):
        scheduler.set_timesteps(steps)
        told = scheduler.timesteps.double()
        # Times in the middle of what each network time stands for in training.
        t = (told + 0.5) / 1000 if "linear" in name else told / 1000
        assert chosen.process.network_time(t).tolist() == pytest.approx(told.tolist(), abs=1e-3)
        a, b = chosen.process.coefficients(t)
        reached = b if name.startswith("rf") else b / a
        assert scheduler.sigmas[:-1].tolist() == pytest.approx(reached.tolist(), rel=1e-3)
        assert scheduler.sigmas[-1].item() == 0


def test_rectified_flow_is_stored_without_a_shift() -> None:
    """A shift of 3 would reach the data too: it is the schedule's to choose, not the checkpoint's."""
    scheduler = scheduler_for(formulation("rf/lognorm(0,1)"))
    scheduler.set_timesteps(sigmas=[1, 0.75, 0.5, 0.25])
    assert scheduler.sigmas.tolist() == [1, 0.75, 0.5, 0.25, 0]
    assert scheduler.timesteps.tolist() == [1000, 750, 500, 250]


@pytest.mark.parametrize("name", ["eps/linear", "v/linear", "v/cos", "eps/cos"])
def test_steps_are_those_of_ddim_where_ddim_keeps_its_own_grid(name: str) -> None:
    chosen = formulation(name)
    for steps in (1, 4, 50):
        shipped = sampled(chosen, scheduler_for(chosen), steps)
        assert shipped == pytest.approx(sampled(chosen, ddim_scheduler_for(chosen), steps), abs=1e-4)


def test_ddim_leaves_its_grid_where_steps_do_not_divide_1000() -> None:
    """The reason why DDIMScheduler is not the one that ships: 28 steps are further from DDIM's formula than 25."""
    chosen = formulation("eps/linear")
    mean = {steps: sampled(chosen, ddim_scheduler_for(chosen), steps)[0] for steps in (25, 28)}
    exact = {steps: sampled(chosen, scheduler_for(chosen), steps)[0] for steps in (25, 28)}
    assert mean[25] == pytest.approx(exact[25], abs=1e-4)
    assert exact[28] - mean[28] > 0.01


@pytest.mark.parametrize("name", ["eps/linear", "v/cos"])
def test_dpm_of_second_order_takes_the_same_options(name: str) -> None:
    chosen = formulation(name)
    scheduler = DPMSolverMultistepScheduler(**variance_preserving_options(chosen))
    assert sampled(chosen, scheduler, 250) == pytest.approx(expected(chosen), abs=0.003)


def test_the_cosine_betas_give_the_cosine_at_every_timestep() -> None:
    scheduler = ddim_scheduler_for(formulation("v/cos"))
    grid = np.arange(1000) / 1000
    assert scheduler.alphas_cumprod[1:].tolist() == pytest.approx(
        (np.cos(np.pi / 2 * grid[1:]) ** 2).tolist(), rel=1e-4
    )
    assert 0 < 1 - scheduler.alphas_cumprod[0].item() < math.sin(math.pi / 2000) ** 2
    assert isinstance(scheduler, DDIMScheduler) and scheduler.config.prediction_type == "v_prediction"


@pytest.mark.parametrize("name", ["edm(-1.2,1.2)", "edm/rf", "edm/cos"])
def test_edm_is_refused_for_a_pipeline_that_scales_no_input(name: str) -> None:
    with pytest.raises(ValueError, match="StableDiffusion3Pipeline cannot sample .* sees scaled input"):
        scheduler_for(formulation(name))


def test_ddim_is_refused_for_rectified_flow() -> None:
    with pytest.raises(ValueError, match="rf"):
        ddim_scheduler_for(formulation("rf"))


def test_the_target_of_edm_is_what_its_scheduler_undoes() -> None:
    """EDMEulerScheduler scales the input itself and counts time in log(sigma) / 4, a thousandth of the network's."""
    chosen = formulation("edm(-1.2,1.2)")
    scheduler = EDMEulerScheduler(sigma_data=0.5)
    scheduler.set_timesteps(400)
    z = (standard_normal() * math.sqrt(SPREAD**2 + 80**2) + MEAN)[:, None]
    for timestep in scheduler.timesteps:
        shown = scheduler.scale_model_input(z, timestep)
        sigma = math.exp(4 * timestep.item())
        x0 = MEAN + SPREAD**2 / (SPREAD**2 + sigma**2) * (z - MEAN)
        a, b = torch.ones(1, 1, dtype=torch.float64), torch.full((1, 1), sigma, dtype=torch.float64)
        torch.testing.assert_close(shown, chosen.target.network_input(z, a, b), rtol=1e-5, atol=1e-6)
        answer = chosen.target.of(x0, (z - x0) / b, a, b)
        z = scheduler.step(answer, timestep, z, return_dict=False)[0]
    assert (z.mean().item(), z.std().item()) == pytest.approx((MEAN, SPREAD), abs=0.01)

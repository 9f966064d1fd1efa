"""Formulations by name, their losses and the validation loss, against numbers worked out by hand."""

import math

import pytest
import torch

from generation.training.formulations.densities import Uniform
from generation.training.formulations.formulation import FORMULATIONS, Formulation, formulation
from generation.training.formulations.processes import Cosine, LatentDiffusionLinear, RectifiedFlow, linear_grid
from generation.training.formulations.targets import Noise, Preconditioned, VPrediction

LATENTS = torch.full((2, 1, 1, 1), 2.0)
NOISE = torch.full((2, 1, 1, 1), -1.0)


def says_nothing(shown: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(shown)


def test_every_row_of_table_1_has_its_name() -> None:
    assert list(FORMULATIONS) == [
        "rf/lognorm(0,1)",
        "rf/lognorm(1,0.6)",
        "rf/lognorm(0.5,0.6)",
        "rf/mode(1.29)",
        "rf/lognorm(0.5,1)",
        "eps/linear",
        "rf/mode(1.75)",
        "rf/cosmap",
        "edm(0,0.6)",
        "rf",
        "v/linear",
        "edm(0.6,1.2)",
        "v/cos",
        "edm/cos",
        "edm/rf",
        "edm(-1.2,1.2)",
    ]
    assert all(formulation(name) == chosen for name, chosen in FORMULATIONS.items())


@pytest.mark.parametrize("name", ["rf/lognorm(.5,.6)", "rf/lognorm(0.50, 0.60)", "rf/lognorm(+.5,.6)"])
def test_one_formulation_has_one_name_however_it_is_spelled(name: str) -> None:
    assert formulation(name).name == "rf/lognorm(0.5,0.6)"


def test_names_say_what_they_stand_for() -> None:
    assert formulation("eps/linear") == Formulation("eps/linear", LatentDiffusionLinear(), Noise(), Uniform())
    assert formulation("v/cos") == Formulation("v/cos", Cosine(), VPrediction(), Uniform())


@pytest.mark.parametrize("name", ["", "RF", "rf/lognorm", "rf/lognorm(0)", "edm(a,b)", "v/rf", "rf/mode(1.29)x"])
def test_an_unknown_name_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(ValueError, match="There is no formulation .*; choose one of rf, .*rf/lognorm\\(m,s\\)"):
        formulation(name)


def test_a_mode_out_of_range_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="its scale lies between"):
        formulation("rf/mode(2)")


def test_preconditioning_of_a_scaled_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="leave the picture unscaled"):
        Formulation("wrong", RectifiedFlow(), Preconditioned())


def test_the_network_is_shown_the_noised_latents_and_told_the_time() -> None:
    seen: list[tuple[list[float], list[float]]] = []

    def predict(shown: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
        seen.append((shown.flatten().tolist(), told.tolist()))
        return torch.zeros_like(shown)

    formulation("rf").losses(predict, LATENTS, NOISE, torch.tensor([0.25, 0.5]))
    assert seen == [([1.25, 0.5], [250.0, 500.0])]


@pytest.mark.parametrize("name", [*FORMULATIONS, "eps/cos"])
def test_a_network_that_knows_the_target_has_no_loss(name: str) -> None:
    chosen = formulation(name)
    t = torch.tensor([0.3, 0.7])
    a, b = (part.view(-1, 1, 1, 1) for part in chosen.process.coefficients(t))
    answer = chosen.target.of(LATENTS, NOISE, a, b)
    assert chosen.losses(lambda shown, told: answer, LATENTS, NOISE, t).tolist() == [0, 0]


def test_a_network_that_says_nothing_has_the_mean_squared_target_as_loss() -> None:
    latents, noise, t = torch.tensor([[2.0, 0.0]]), torch.tensor([[-1.0, 1.0]]), torch.tensor([1 / 3])
    found = {
        name: formulation(name).losses(says_nothing, latents, noise, t).item() for name in ("rf", "eps/cos", "v/cos")
    }
    root = math.sqrt(3) / 2
    assert found == pytest.approx({"rf": (9 + 1) / 2, "eps/cos": 1, "v/cos": ((root + 1) ** 2 + root**2) / 2})


def test_losses_stay_in_the_latents_precision_when_the_network_answers_in_bfloat16() -> None:
    losses = formulation("rf").losses(lambda z, k: torch.zeros_like(z).bfloat16(), LATENTS, NOISE, torch.rand(2))
    assert losses.dtype == torch.float32 and losses.tolist() == [9, 9]
    third = torch.full_like(LATENTS, 1 / 3)
    losses = formulation("rf").losses(lambda z, k: torch.zeros_like(z).bfloat16(), third, 0 * third, torch.rand(2))
    assert losses.tolist() == pytest.approx([1 / 9, 1 / 9], rel=1e-6)


@pytest.mark.parametrize("name", FORMULATIONS)
def test_extreme_times_give_finite_losses(name: str) -> None:
    chosen = formulation(name)
    losses = chosen.losses(says_nothing, LATENTS, NOISE, torch.tensor([1e-6, 1 - 1e-6]))
    told = chosen.process.network_time(torch.tensor([1e-6, 1 - 1e-6]))
    assert torch.isfinite(losses).all() and torch.isfinite(told).all()


def test_validation_averages_equidistant_levels_without_the_last() -> None:
    asked: list[float] = []

    def off_by_its_time(shown: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
        asked.append(told[0].item())
        return NOISE - LATENTS + told[0] / 1000

    loss = formulation("rf/lognorm(0,1)").validation_loss(off_by_its_time, LATENTS, NOISE, levels=4)
    assert asked == [250, 500, 750]
    assert loss == pytest.approx((0.0625 + 0.25 + 0.5625) / 3)


def test_validation_is_in_the_target_of_the_formulation() -> None:
    # v = a eps - b x0 with x0 = 2, eps = -1 at t = 1/3 and 2/3: a and b change places.
    root = math.sqrt(3) / 2
    expected = ((root + 1) ** 2 + (0.5 + 2 * root) ** 2) / 2
    chosen = formulation("v/cos")
    assert chosen.validation_losses(says_nothing, LATENTS, NOISE, levels=3) == pytest.approx(
        ((root + 1) ** 2, (0.5 + 2 * root) ** 2)
    )
    assert chosen.validation_loss(says_nothing, LATENTS, NOISE, levels=3) == pytest.approx(expected)
    assert formulation("eps/linear").validation_loss(says_nothing, LATENTS, NOISE) == pytest.approx(1)


def test_validation_asks_latent_diffusion_for_grid_indices() -> None:
    asked: list[float] = []

    def predict(shown: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
        asked.append(told[0].item())
        return shown

    formulation("eps/linear").validation_loss(predict, LATENTS, NOISE)
    assert asked == [124, 249, 374, 499, 624, 749, 874]


def test_validation_keeps_no_gradients_and_needs_two_levels() -> None:
    weight = torch.ones(1, requires_grad=True)
    formulation("rf").validation_loss(lambda z, k: z * weight, LATENTS, NOISE)
    assert weight.grad is None
    with pytest.raises(ValueError, match="at least 2 noise levels, not 1"):
        formulation("rf").validation_loss(says_nothing, LATENTS, NOISE, levels=1)


def test_training_times_come_from_the_density() -> None:
    t = formulation("rf/lognorm(1,.6)").sample_times(20_000, torch.Generator().manual_seed(0))
    assert torch.logit(t).mean().item() == pytest.approx(1, abs=0.02)
    assert torch.logit(t).std().item() == pytest.approx(0.6, abs=0.02)


@pytest.mark.parametrize("name", FORMULATIONS)
def test_training_goes_on_after_a_validation_in_inference_mode(name: str) -> None:
    linear_grid.cache_clear()
    chosen, weight = formulation(name), torch.ones(1, requires_grad=True)
    with torch.inference_mode():
        chosen.validation_loss(says_nothing, LATENTS, NOISE)
    chosen.losses(lambda shown, told: weight * shown, LATENTS, NOISE, torch.tensor([0.3, 0.7])).sum().backward()
    assert weight.grad is not None and weight.grad.abs().item() > 0

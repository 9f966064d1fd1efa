"""Forward processes, targets and weights against formulas written down here and derivatives taken numerically."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from scipy import stats

from generation.training.formulations.densities import CosMap, LogitNormal, Mode
from generation.training.formulations.formulation import FORMULATIONS, formulation
from generation.training.formulations.processes import (
    Cosine,
    LatentDiffusionLinear,
    LogNormalNoise,
    Process,
    RectifiedFlow,
    UnscaledPicture,
)
from generation.training.formulations.weights import (
    cosine_noise_weight,
    cosine_v_weight,
    edm_weight,
    general_loss,
    rectified_flow_weight,
)

T = torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95], dtype=torch.float64)
CONTINUOUS: list[Process] = [
    RectifiedFlow(),
    Cosine(),
    LogNormalNoise(-1.2, 1.2),
    UnscaledPicture(RectifiedFlow()),
    UnscaledPicture(Cosine()),
]


def coefficients_at(process: Process, t: float) -> tuple[float, float]:
    a, b = process.coefficients(torch.tensor([t], dtype=torch.float64))
    return a.item(), b.item()


def test_coefficients_worked_out_by_hand() -> None:
    assert coefficients_at(RectifiedFlow(), 0.25) == (0.75, 0.25)
    assert coefficients_at(Cosine(), 1 / 3) == pytest.approx((math.sqrt(3) / 2, 0.5))
    # The normal quantile of .975 is 1.959964.
    assert coefficients_at(LogNormalNoise(-1.2, 1.2), 0.975) == pytest.approx((1, math.exp(-1.2 + 1.2 * 1.959964)))
    assert coefficients_at(UnscaledPicture(RectifiedFlow()), 0.75) == pytest.approx((1, 3))
    assert coefficients_at(UnscaledPicture(Cosine()), 0.5) == pytest.approx((1, 1))


@pytest.mark.parametrize("process", [*CONTINUOUS, LatentDiffusionLinear()], ids=repr)
def test_the_log_snr_is_that_of_the_coefficients(process: Process) -> None:
    a, b = process.coefficients(T)
    assert process.log_snr(T).tolist() == pytest.approx(np.log(a.numpy() ** 2 / b.numpy() ** 2).tolist(), abs=1e-9)


@pytest.mark.parametrize("process", CONTINUOUS, ids=repr)
def test_the_derivative_of_the_log_snr_is_its_difference_quotient(process: Process) -> None:
    quotient = (process.log_snr(T + 1e-6) - process.log_snr(T - 1e-6)) / 2e-6
    assert process.log_snr_derivative(T).tolist() == pytest.approx(quotient.tolist(), rel=1e-5)


def test_the_derivative_on_the_grid_of_latent_diffusion_is_that_of_its_neighbours() -> None:
    process = LatentDiffusionLinear()
    quotient = (process.log_snr(T + 1e-3) - process.log_snr(T - 1e-3)) / 2e-3
    assert process.log_snr_derivative(T).tolist() == pytest.approx(quotient.tolist(), rel=1e-6)


def test_edm_log_snrs_are_normal_with_twice_the_parameters() -> None:
    t = torch.linspace(0, 1, 20_001, dtype=torch.float64)[1:-1]
    log_snr = LogNormalNoise(0.6, 1.2).log_snr(t).numpy()
    assert log_snr.mean() == pytest.approx(-1.2, abs=1e-3)
    assert log_snr.std() == pytest.approx(2.4, abs=5e-3)


def test_latent_diffusion_has_the_coefficients_of_diffusers() -> None:
    scheduler = DDIMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
    t = torch.arange(1, 1001) / 1000
    process = LatentDiffusionLinear()
    assert process.index(t).tolist() == list(range(1000))
    assert process.network_time(t).tolist() == list(range(1000))
    a, b = process.coefficients(t)
    torch.testing.assert_close(a**2, scheduler.alphas_cumprod, rtol=2e-5, atol=0)
    torch.testing.assert_close(b**2, 1 - scheduler.alphas_cumprod, rtol=1e-4, atol=0)


def test_latent_diffusion_has_the_formula_of_its_paper() -> None:
    roots = [math.sqrt(0.00085) + k / 999 * (math.sqrt(0.012) - math.sqrt(0.00085)) for k in range(1000)]
    a, b = coefficients_at(LatentDiffusionLinear(), 0.4)
    squared = math.prod(1 - root**2 for root in roots[:400])
    assert (a, b) == pytest.approx((math.sqrt(squared), math.sqrt(1 - squared)))


def test_times_between_grid_points_belong_to_the_next_and_the_ends_stay_on_the_grid() -> None:
    t = torch.tensor([0.0, 1e-6, 0.0010004, 0.0015, 0.007, 0.9999, 1.0])
    assert LatentDiffusionLinear().index(t).tolist() == [0, 0, 0, 1, 6, 999, 999]


def test_network_times_are_on_the_scale_of_the_transformer() -> None:
    t = torch.tensor([0.125, 0.5], dtype=torch.float64)
    told = {name: formulation(name).process.network_time(t).tolist() for name in ("rf", "v/cos", "eps/linear")}
    assert told == {"rf": [125, 500], "v/cos": [125, 500], "eps/linear": [124, 499]}
    edm = formulation("edm(-1.2,1.2)").process.network_time(t).tolist()
    assert edm == pytest.approx([250 * (-1.2 + 1.2 * -1.150349), -300], rel=1e-5)
    assert formulation("edm/rf").process.network_time(t).tolist() == pytest.approx([250 * math.log(1 / 7), 0])


NAMES = [*FORMULATIONS, "eps/cos"]


@pytest.mark.parametrize("name", NAMES)
def test_a_right_prediction_gives_back_picture_and_noise(name: str) -> None:
    chosen = formulation(name)
    generator = torch.Generator().manual_seed(0)
    x0, eps = (torch.randn(5, 3, 2, 2, generator=generator, dtype=torch.float64) for _ in range(2))
    a, b = (part.view(-1, 1, 1, 1) for part in chosen.process.coefficients(T))
    z = chosen.noised(x0, eps, T)
    torch.testing.assert_close(z, a * x0 + b * eps)
    found_x0, found_eps = chosen.parts(chosen.target.of(x0, eps, a, b), z, T)
    torch.testing.assert_close(found_x0, x0)
    torch.testing.assert_close(found_eps, eps)


def test_targets_worked_out_by_hand() -> None:
    x0, eps, t = (torch.tensor([[value]], dtype=torch.float64) for value in (2.0, -1.0, 0.5))
    a, b = torch.tensor([[0.8]], dtype=torch.float64), torch.tensor([[0.6]], dtype=torch.float64)
    of = {name: formulation(name).target.of(x0, eps, a, b).item() for name in ("rf", "eps/linear", "v/cos")}
    assert of == pytest.approx({"rf": -3, "eps/linear": -1, "v/cos": -0.8 - 1.2})
    # Karras et al., table 1, at sigma 1.2 and sigma_data .5: c_skip = .25/1.69, c_out = .6/1.3, c_in = 1/1.3.
    sigma, z = torch.tensor([[1.2]], dtype=torch.float64), 2 - 1.2
    target = formulation("edm(0,.6)").target
    answer = target.of(x0, eps, torch.ones_like(t), sigma).item()
    assert answer == pytest.approx((2 - 0.25 / 1.69 * z) / (0.6 / 1.3))
    shown = target.network_input(torch.tensor([[z]], dtype=torch.float64), torch.ones_like(t), sigma)
    assert shown.item() == pytest.approx(z / 1.3)


Weight = Callable[[torch.Tensor], torch.Tensor]


def edm_by_hand(t: torch.Tensor, mean: float, deviation: float) -> torch.Tensor:
    log_snr = -2 * (mean + deviation * stats.norm.ppf(t.numpy()))
    weight = stats.norm.pdf(log_snr, -2 * mean, 2 * deviation) * (np.exp(-log_snr) + 0.25)
    return torch.from_numpy(weight)


# The weights of SD3's section 2 and 3 with lambda written out, and the constant by which the plain MSE differs.
PUBLISHED: dict[str, tuple[Weight, float]] = {
    "rf": (lambda t: t / (1 - t), 1),
    "rf/lognorm(.5,.6)": (
        lambda t: (
            t
            / (1 - t)
            * torch.exp(-((torch.log(t / (1 - t)) - 0.5) ** 2) / 0.72)
            / (0.6 * math.sqrt(2 * math.pi) * t * (1 - t))
        ),
        1,
    ),
    "rf/cosmap": (lambda t: t / (1 - t) * 2 / (math.pi - 2 * math.pi * t + 2 * math.pi * t**2), 1),
    "edm(-1.2,1.2)": (lambda t: edm_by_hand(t, -1.2, 1.2), 8),
    "edm(.6,1.2)": (lambda t: edm_by_hand(t, 0.6, 1.2), 8),
    # e^(-lambda / 2) = b / a = tan; sech(lambda / 2) = 2 / (tan + 1 / tan).
    "v/cos": (lambda t: torch.tan(math.pi / 2 * t), 2 / math.pi),
    "eps/cos": (lambda t: 2 / (torch.tan(math.pi / 2 * t) + 1 / torch.tan(math.pi / 2 * t)), 1 / math.pi),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_weight_of_the_plain_loss_is_the_published_one(name: str) -> None:
    published, constant = PUBLISHED[name]
    assert formulation(name).weight(T).tolist() == pytest.approx((constant * published(T)).tolist(), rel=1e-6)


def test_closed_forms_are_the_published_weights() -> None:
    cosine = -2 * torch.log(torch.tan(math.pi / 2 * T))
    edm = -2 * (0.6 + 1.2 * torch.from_numpy(stats.norm.ppf(T.numpy())))
    for found, name in (
        (rectified_flow_weight(T), "rf"),
        (rectified_flow_weight(T, LogitNormal(0.5, 0.6)), "rf/lognorm(.5,.6)"),
        (rectified_flow_weight(T, CosMap()), "rf/cosmap"),
        (cosine_v_weight(cosine), "v/cos"),
        (cosine_noise_weight(cosine), "eps/cos"),
        (edm_weight(edm, mean=0.6, deviation=1.2), "edm(.6,1.2)"),
    ):
        assert found.tolist() == pytest.approx(PUBLISHED[name][0](T).tolist(), rel=1e-6), name


@pytest.mark.parametrize("name", [name for name in NAMES if "1.75" not in name])
def test_the_plain_loss_is_the_general_form_with_its_weight(name: str) -> None:
    """A network whose idea of the noise is off by delta: its MSE, averaged over pi(t), is -1/2 E[w lambda' delta^2]."""
    chosen = formulation(name)
    # t in the middle, where no integrand is singular: the identity holds time by time.
    t = torch.linspace(0.1, 0.9, 9, dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    x0, eps = (torch.randn(9, 1, generator=generator, dtype=torch.float64) for _ in range(2))
    delta = 0.3
    a, b = (part.view(-1, 1) for part in chosen.process.coefficients(t))
    z = a * x0 + b * eps
    wrong_eps = eps + delta
    answer = chosen.target.of((z - b * wrong_eps) / a, wrong_eps, a, b)
    mse = chosen.losses(lambda shown, told: answer, x0, eps, t)
    step = 1e-3 if "linear" in name else 1e-6
    slope = (chosen.process.log_snr(t + step) - chosen.process.log_snr(t - step)) / (2 * step)
    density = chosen.density.density(t)
    expected = general_loss(chosen.weight(t), slope, torch.full_like(t, delta**2)).item()
    assert (density * mse).mean().item() == pytest.approx(expected, rel=1e-4)


def test_mode_weights_follow_their_density() -> None:
    ratio = formulation("rf/mode(1.29)").weight(T) / (T / (1 - T))
    assert ratio.tolist() == pytest.approx(Mode(1.29).density(T).tolist())


def test_edm_without_spread_is_refused() -> None:
    with pytest.raises(ValueError, match="a deviation above 0"):
        formulation("edm(0,0)")

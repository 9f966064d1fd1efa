"""Timestep densities against quadrature, the published closed forms and histograms of their own samples."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy import stats

from generation.training.formulations.densities import CosMap, Density, LogitNormal, Mode, Uniform
from generation.training.formulations.processes import shifted

Distribution = Callable[[float], float]


def logit_normal_distribution(mean: float, deviation: float) -> Distribution:
    return lambda t: float(stats.norm.cdf((math.log(t / (1 - t)) - mean) / deviation))


def mode_distribution(scale: float) -> Distribution:
    """P(T <= t) = P(U >= u) = 1 - u where f(u) = t, u found on a fine table of f."""
    u = np.linspace(0, 1, 2_000_001)
    t = 1 - u - scale * (np.cos(np.pi / 2 * u) ** 2 - 1 + u)
    return lambda time: 1 - float(np.interp(-time, -t, u))


# Each beside its distribution function, worked out from the definition of T and not from the density.
DENSITIES: dict[str, tuple[Density, Distribution]] = {
    "uniform": (Uniform(), lambda t: t),
    "lognorm(0,1)": (LogitNormal(0, 1), logit_normal_distribution(0, 1)),
    "lognorm(1,.6)": (LogitNormal(1, 0.6), logit_normal_distribution(1, 0.6)),
    "lognorm(-.5,1)": (LogitNormal(-0.5, 1), logit_normal_distribution(-0.5, 1)),
    "mode(0)": (Mode(0), lambda t: t),
    "mode(1.29)": (Mode(1.29), mode_distribution(1.29)),
    "mode(-.5)": (Mode(-0.5), mode_distribution(-0.5)),
    "cosmap": (CosMap(), lambda t: 2 / math.pi * math.atan(t / (1 - t))),
}


def on_grid(density: Density, times: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    values: npt.NDArray[np.float64] = density.density(torch.from_numpy(times)).numpy()
    return values


@pytest.mark.parametrize("name", DENSITIES)
def test_densities_integrate_to_one(name: str) -> None:
    times = np.linspace(0, 1, 400_001)[1:-1]
    assert np.trapezoid(on_grid(DENSITIES[name][0], times), times) == pytest.approx(1, abs=2e-5)


def test_the_steepest_mode_integrates_to_one_around_its_pole() -> None:
    times = np.linspace(0, 1, 400_002)[1:-1]
    assert np.trapezoid(on_grid(Mode(1.75), times), times) == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("name", DENSITIES)
def test_densities_are_the_slope_of_the_distribution(name: str) -> None:
    density, distribution = DENSITIES[name]
    for t in (0.05, 0.3, 0.5, 0.62, 0.9):
        slope = (distribution(t + 1e-4) - distribution(t - 1e-4)) / 2e-4
        assert density.density(torch.tensor(t, dtype=torch.float64)).item() == pytest.approx(slope, rel=1e-3)


@pytest.mark.parametrize("name", DENSITIES)
def test_samples_have_their_density(name: str) -> None:
    density, distribution = DENSITIES[name]
    times = density.sample(100_000, torch.Generator().manual_seed(7))
    assert times.shape == (100_000,) and times.dtype == torch.float32
    assert times.min().item() > 0 and times.max().item() < 1
    edges = np.linspace(0, 1, 41)
    counted, _ = np.histogram(times.double().numpy(), bins=edges)
    reached = np.array([0, *(distribution(edge) for edge in edges[1:-1]), 1])
    share = np.diff(reached)
    # A chi-square needs at least five expected in each cell; the thin tails are pooled.
    thick = share * len(times) >= 5
    counts = [*counted[thick], counted[~thick].sum()]
    expected = [*(share[thick] * len(times)), share[~thick].sum() * len(times)]
    kept = [i for i, amount in enumerate(expected) if amount > 0]
    test = stats.chisquare([counts[i] for i in kept], np.array([expected[i] for i in kept]), sum_check=False)
    assert test.pvalue > 0.001


def test_samples_repeat_with_their_seed() -> None:
    one, same = (LogitNormal().sample(5, torch.Generator().manual_seed(3)) for _ in range(2))
    assert one.tolist() == same.tolist()


def test_check_values_worked_out_by_hand() -> None:
    half = torch.tensor(0.5, dtype=torch.float64)
    # lognorm(0,1) at 1/2: 1 / (sqrt(2 pi) / 4).
    assert LogitNormal(0, 1).density(half).item() == pytest.approx(4 / math.sqrt(2 * math.pi))
    # cosmap at 1/2: 2 / (pi - pi + pi/2).
    assert CosMap().density(half).item() == pytest.approx(4 / math.pi)
    # mode at u = 1/2 passes t = 1/2 with slope -(1 + s) + s pi/2.
    assert Mode(1.29).density(half).item() == pytest.approx(1 / (1 + 1.29 - 1.29 * math.pi / 2), rel=1e-6)


@pytest.mark.parametrize("scale", [-1.01, 1.7520, math.nan])
def test_a_mode_out_of_range_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="its scale lies between -1 and 2/\\(pi-2\\) = 1.7519"):
        Mode(scale)


@pytest.mark.parametrize(("mean", "deviation"), [(0, 0), (0, -1), (math.inf, 1), (0, math.nan)])
def test_a_log_normal_without_spread_is_refused(mean: float, deviation: float) -> None:
    with pytest.raises(ValueError, match="a deviation above 0"):
        LogitNormal(mean, deviation)


def test_the_shift_has_the_published_values() -> None:
    shifted_times = shifted(torch.tensor([0.1, 0.25, 0.5, 0.75, 0.0, 1.0], dtype=torch.float64), shift=3)
    assert shifted_times.tolist() == pytest.approx([0.25, 0.5, 0.75, 0.9, 0.0, 1.0])


def test_shifts_compose_and_one_is_the_identity() -> None:
    t = torch.linspace(0, 1, 11, dtype=torch.float64)
    assert shifted(shifted(t, shift=2.5), shift=1.2).tolist() == pytest.approx(shifted(t, shift=3.0).tolist())
    assert shifted(t, shift=1).tolist() == t.tolist()
    with pytest.raises(ValueError, match="above 0"):
        shifted(t, shift=0)

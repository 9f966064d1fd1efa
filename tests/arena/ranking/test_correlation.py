from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import kendalltau, norm, pearsonr, spearmanr

from arena.ranking.correlation import correlate, kendall_interval, spearman_interval

Floats = NDArray[np.float64]


def contenders(rng: np.random.Generator, *, n: int, true: float, error: float) -> tuple[Floats, Floats, Floats]:
    """Estimates, covariance and metric of contenders whose true strengths have this correlation with the metric."""
    metric = rng.standard_normal(n)
    strengths = true * metric + np.sqrt(1 - true**2) * rng.standard_normal(n)
    return strengths + error * rng.standard_normal(n), error**2 * np.eye(n), metric


def test_coefficients_are_those_of_scipy() -> None:
    strengths, covariance, metric = contenders(np.random.default_rng(0), n=8, true=0.6, error=0.1)
    found = correlate(strengths, covariance, metric)
    assert (found.pearson, found.pearson_p) == pytest.approx(tuple(pearsonr(strengths, metric)))
    assert (found.spearman, found.spearman_p) == pytest.approx(tuple(spearmanr(strengths, metric)))
    assert (found.kendall, found.kendall_p) == pytest.approx(tuple(kendalltau(strengths, metric)))


@pytest.mark.parametrize("true", [0.0, 0.8, -0.9])
def test_interval_without_errors_is_close_to_fishers(true: float) -> None:
    strengths, covariance, metric = contenders(np.random.default_rng(1), n=40, true=true, error=0.0)
    found = correlate(strengths, covariance, metric)
    z, reach = np.arctanh(found.pearson), norm.ppf(0.975) / np.sqrt(37)
    assert (found.low, found.high) == pytest.approx((np.tanh(z - reach), np.tanh(z + reach)), abs=0.05)
    assert found.corrected == pytest.approx(found.pearson, abs=0.03)
    assert found.reliability == 1


def test_errors_attenuate_the_estimate_and_the_interval_knows() -> None:
    covered, naive, plain, corrected = 0, 0, [], []
    for seed in range(100):
        strengths, covariance, metric = contenders(np.random.default_rng(seed), n=25, true=0.8, error=0.8)
        found = correlate(strengths, covariance, metric)
        covered += found.low <= 0.8 <= found.high
        z, reach = np.arctanh(found.pearson), norm.ppf(0.975) / np.sqrt(22)
        naive += np.tanh(z - reach) <= 0.8 <= np.tanh(z + reach)
        plain.append(found.pearson)
        corrected.append(found.corrected)
    assert covered / 100 >= 0.91
    assert naive / 100 < 0.85
    assert np.median(plain) < 0.68
    assert 0.72 < np.median(corrected) < 0.95


def test_a_common_error_of_all_contenders_does_not_matter() -> None:
    strengths, covariance, metric = contenders(np.random.default_rng(2), n=12, true=0.7, error=0.3)
    one, other = correlate(strengths, covariance, metric), correlate(strengths + 5, covariance + 9.0, metric)
    assert (one.low, one.high, one.reliability) == pytest.approx((other.low, other.high, other.reliability), abs=1e-6)


def test_turning_the_metric_turns_the_interval() -> None:
    strengths, covariance, metric = contenders(np.random.default_rng(3), n=12, true=0.7, error=0.3)
    one, other = correlate(strengths, covariance, metric), correlate(strengths, covariance, -3 * metric + 1)
    assert (one.low, one.high, one.pearson) == pytest.approx((-other.high, -other.low, -other.pearson), abs=1e-9)


def test_contenders_without_strength_or_metric_are_left_out_and_few_are_warned_of() -> None:
    strengths = np.array([1.0, 0.5, np.nan, -0.5, 0.1, -1.0])
    metric = np.array([0.1, 0.2, 0.3, np.nan, 0.25, 0.5])
    found = correlate(strengths, 0.01 * np.eye(6), metric)
    assert found.n == 4
    assert found.warnings == (
        "Only 4 contenders: a correlation of so few says little, whatever its size.",
        "The sizes of the models are not known: size alone can drive both strength and metric.",
    )
    with pytest.raises(ValueError, match="there are 2"):
        correlate(strengths[:3], 0.01 * np.eye(3), metric[:3])
    with pytest.raises(ValueError, match="differ"):
        correlate(strengths[[0, 1, 3]], 0.01 * np.eye(3), np.ones(3))


def test_three_contenders_have_a_coefficient_and_no_interval() -> None:
    found = correlate(np.array([1.0, 0.2, -1.2]), 0.01 * np.eye(3), np.array([3.0, 2.0, 1.5]))
    assert found.pearson > 0.9
    assert np.isnan([found.low, found.high]).all()


def test_model_size_that_drives_both_is_named() -> None:
    rng = np.random.default_rng(4)
    sizes = np.exp(rng.uniform(0, 4, size=20))
    strengths = np.log(sizes) + 0.3 * rng.standard_normal(20)
    loss = -0.2 * np.log(sizes) + 0.06 * rng.standard_normal(20)
    found = correlate(strengths, 0.01 * np.eye(20), loss, sizes=sizes)
    assert found.pearson < -0.9
    assert found.given_size is not None and abs(found.given_size) < 0.45
    assert len(found.warnings) == 1 and found.warnings[0].startswith("Model size explains most of it")
    assert correlate(strengths, 0.01 * np.eye(20), loss, sizes=np.full(20, 7.0)).given_size is None


def test_strengths_that_may_be_all_error_are_warned_of_and_left_open() -> None:
    strengths, _, metric = contenders(np.random.default_rng(5), n=15, true=0.0, error=0.0)
    found = correlate(0.1 * strengths, np.eye(15), metric)
    assert found.reliability == 0
    assert "may be error" in found.warnings[0]
    assert found.high - found.low > 1.5


def test_intervals_of_rank_correlations_hold_what_they_promise() -> None:
    """At the fewest contenders from which the page does not warn; true rank correlations of a normal pair are known."""
    true, covered = 0.5, np.zeros(2)
    spearman, kendall = 6 / np.pi * np.arcsin(true / 2), 2 / np.pi * np.arcsin(true)
    for seed in range(400):
        strengths, covariance, metric = contenders(np.random.default_rng(seed), n=10, true=true, error=0.0)
        found = correlate(strengths, covariance, metric)
        for place, (ends, wanted) in enumerate(((found.spearman_ends, spearman), (found.kendall_ends, kendall))):
            assert ends is not None
            covered[place] += ends[0] <= wanted <= ends[1]
    assert ((covered / 400 > 0.93) & (covered / 400 < 0.985)).all()


def test_rank_correlations_worked_out_by_hand() -> None:
    # z = atanh(0.6) = 0.6931, half-width 1.96 * sqrt(1.18 / 17) = 0.5164; and 1.96 * sqrt(0.437 / 16) = 0.3239.
    assert spearman_interval(0.6, 20) == pytest.approx((np.tanh(0.1768), np.tanh(1.2095)), abs=2e-4)
    assert kendall_interval(0.6, 20) == pytest.approx((np.tanh(0.3692), np.tanh(1.0171)), abs=2e-4)


def test_too_few_contenders_or_the_same_order_twice_have_no_interval_of_ranks() -> None:
    assert spearman_interval(0.5, 3) is None and spearman_interval(0.5, 4) is not None
    assert kendall_interval(0.5, 4) is None and kendall_interval(0.5, 5) is not None
    assert spearman_interval(1.0, 30) is None and kendall_interval(-1.0, 30) is None

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.special import expit, logit

from arena.ranking.curves import (
    Line,
    fewest_not_worse,
    heights,
    likelihood_ratio,
    line_covariates,
    margin_of,
    matching_level,
    wald_lack_of_fit,
)
from arena.ranking.intervals import difference_intervals
from arena.ranking.models import fit_model
from arena.ranking.precision import Precision, estimate_precision
from arena.ranking.tallies import Votes, tally
from tests.arena.ranking.worlds import simulate_votes, some_votes

Floats = NDArray[np.float64]

LEVELS = np.array([5.0, 10.0, 20.0, 50.0])
# Two models at four step counts: each gains with log2(steps) and levels off, the second is 0.4 ahead.
GAINS = np.array([-1.0, -0.2, 0.0, 0.0])
TRUE = np.concatenate([GAINS, GAINS + 0.4])
SMALL, LARGE = Line(np.arange(4), LEVELS), Line(np.arange(4, 8), LEVELS)


def study(
    seed: int = 0, *, votes: int = 8000, true: Floats = TRUE, taste: float = 0.3, ties: float = 0.2
) -> tuple[Votes, Precision]:
    drawn = simulate_votes(np.random.default_rng(seed), true, votes=votes, raters=60, rater_taste=taste, ties=ties)
    return drawn, estimate_precision(fit_model(tally(drawn)), drawn, by=("rater",))


def test_saturated_line_passes_its_points_and_is_straight_in_the_logarithm_between_them() -> None:
    shuffled = Line(np.array([2, 0, 3, 1]), np.array([20.0, 5.0, 50.0, 10.0]))
    for place, level in enumerate(shuffled.levels):
        np.testing.assert_allclose(shuffled.weights(level), np.eye(4)[place], atol=1e-12)
    np.testing.assert_allclose(SMALL.weights(np.sqrt(50.0)), [0.5, 0.5, 0, 0], atol=1e-12)


def test_spline_with_a_knot_at_every_level_is_the_natural_one_through_all_points() -> None:
    line = Line(np.arange(4), LEVELS, knots=LEVELS)
    values = np.array([-1.0, 0.3, 0.1, 0.5])
    oracle = CubicSpline(np.log2(LEVELS), values, bc_type="natural")
    for level in (5.0, 7.0, 15.0, 33.0, 50.0):
        assert line.weights(level) @ values == pytest.approx(float(oracle(np.log2(level))), rel=1e-9)


def test_two_knots_make_a_straight_line_in_the_logarithm() -> None:
    line = Line(np.arange(4), LEVELS, knots=np.array([5.0, 50.0]))
    straight = 0.3 * np.log2(LEVELS) - 1
    assert line.weights(28.0) @ straight == pytest.approx(0.3 * np.log2(28.0) - 1, rel=1e-9)
    assert line_covariates([line], 4).shape == (4, 2)


def test_covariates_of_saturated_lines_give_the_free_model() -> None:
    votes, precision = study()
    fit = fit_model(tally(votes), covariates=line_covariates([SMALL, LARGE], 8))
    np.testing.assert_allclose(fit.strengths, precision.fit.strengths, atol=1e-9)


def test_spline_fit_evaluates_to_its_own_strengths_and_errors() -> None:
    votes, _ = study()
    lines = [Line(line.contenders, LEVELS, knots=np.array([5.0, 15.0, 50.0])) for line in (SMALL, LARGE)]
    fit = fit_model(tally(votes), covariates=line_covariates(lines, 8))
    precision = estimate_precision(fit, votes, by=("rater",))
    own = heights(precision, lines[1], LEVELS, against=0)

    np.testing.assert_allclose(own.estimate, fit.strengths[4:] - fit.strengths[0], atol=1e-9)
    pairs = difference_intervals(precision)
    np.testing.assert_allclose(own.low, pairs.low[4:, 0], rtol=1e-6)


def test_heights_at_the_levels_are_the_difference_intervals() -> None:
    _, precision = study()
    found, pairs = heights(precision, LARGE, LEVELS, against=0), difference_intervals(precision)
    np.testing.assert_allclose(found.estimate, pairs.estimate[4:, 0], rtol=1e-9)
    np.testing.assert_allclose(found.low, pairs.low[4:, 0], rtol=1e-9)
    np.testing.assert_allclose(found.high, pairs.high[4:, 0], rtol=1e-9)


def test_fewest_steps_are_the_lowest_within_the_margin_from_the_reference_down() -> None:
    _, precision = study(votes=40_000, taste=0.1)
    found = fewest_not_worse(precision, LARGE, margin=margin_of(0.1))

    np.testing.assert_array_equal(found.levels, [50, 20, 10, 5])
    assert found.loss[0] == found.highest[0] == 0
    assert (found.highest[1:] > found.loss[1:]).all()
    assert found.fewest == 10
    assert fewest_not_worse(precision, LARGE, margin=margin_of(0.04)).fewest == 20
    assert fewest_not_worse(precision, LARGE, margin=1e-6).fewest is None
    assert fewest_not_worse(precision, LARGE, margin=5.0).fewest == 5
    assert fewest_not_worse(precision, LARGE, margin=margin_of(0.1), reference=10).fewest is None


def test_a_level_below_one_that_failed_is_not_named() -> None:
    # 20 steps are worse than both 50 and 10: the way down ends there.
    true = np.array([-1.0, 0.0, -1.0, 0.0])
    _, precision = study(true=true, votes=20_000)
    found = fewest_not_worse(precision, SMALL, margin=0.5)
    assert found.highest[2] < 0.5 < found.highest[1]
    assert found.fewest is None


def test_non_inferiority_is_claimed_wrongly_at_most_as_often_as_stated() -> None:
    # 10 steps lie exactly at the margin, 5 far below: naming 10 or 5 is an error. Tastes take some of the gap away.
    true = np.array([-2.0, -0.4, 0.0, 0.0])
    margin = logit(expit(0.4 + 0.5 * np.sqrt(2) * np.random.default_rng(0).standard_normal(1_000_000)).mean())
    wrong = 0
    for seed in range(300):
        _, precision = study(seed, votes=2000, true=true, taste=0.5, ties=0.0)
        wrong += fewest_not_worse(precision, SMALL, margin=margin).fewest in (5.0, 10.0)
    assert 0 < wrong / 300 <= 0.08


def test_margin_in_win_rate_is_log_odds() -> None:
    assert margin_of(0.05) == pytest.approx(np.log(0.55 / 0.45))
    with pytest.raises(ValueError, match="win rate"):
        margin_of(0.5)


def test_steps_at_which_the_large_model_matches_the_small_one() -> None:
    _, precision = study(votes=40_000, taste=0.1)
    # Large at s is at 0.0 where its own gain is -0.4: three quarters of the way from 5 to 10 steps.
    found = matching_level(precision, LARGE, SMALL, at=50)
    assert found.status == "within"
    assert found.low < 5 * 2**0.75 < found.high
    assert found.level == pytest.approx(5 * 2**0.75, rel=0.1)
    assert LARGE.height(precision.fit, found.level) == pytest.approx(SMALL.height(precision.fit, 50.0), abs=1e-9)
    assert matching_level(precision, SMALL, LARGE, at=50).status == "above"
    assert matching_level(precision, Line(np.arange(6, 8), LEVELS[2:]), SMALL, at=5).status == "below"


def test_matching_interval_is_the_delta_method() -> None:
    _, precision = study()
    found = matching_level(precision, LARGE, SMALL, at=50)
    place = np.log2(found.level)
    contrast = LARGE.contrast(found.level, 9) - SMALL.contrast(50.0, 9)
    strengths = precision.fit.strengths[4:]
    slope = strengths[1] - strengths[0]
    error = np.sqrt(precision.variances(contrast[None, :])[0]) / slope
    half_width = (np.log2(found.high) - np.log2(found.low)) / 2

    assert LEVELS[0] < found.level < LEVELS[1]
    assert half_width / error == pytest.approx(2.0, abs=0.1)
    assert np.log2(found.high) + np.log2(found.low) == pytest.approx(2 * place)


def test_a_line_matches_itself_where_it_is() -> None:
    _, precision = study()
    found = matching_level(precision, LARGE, LARGE, at=10)
    assert (found.level, found.low, found.high) == pytest.approx((10, 10, 10), rel=1e-6)


def test_matching_intervals_cover_the_truth() -> None:
    covered = 0
    for seed in range(150):
        _, precision = study(seed, votes=4000, taste=0.5)
        found = matching_level(precision, LARGE, SMALL, at=50)
        covered += found.status == "within" and found.low <= 5 * 2**0.75 <= found.high
    assert covered / 150 >= 0.89


def test_lack_of_fit_counts_what_the_curve_leaves_out() -> None:
    votes, precision = study()
    lines = [Line(line.contenders, LEVELS, knots=np.array([5.0, 50.0])) for line in (SMALL, LARGE)]
    covariates = line_covariates(lines, 8)
    wald = wald_lack_of_fit(precision, covariates)
    restricted = fit_model(tally(votes), covariates=covariates)
    ratio = likelihood_ratio(precision.fit, restricted, design_effect=precision.design_effect)

    # Eight strengths, one of them free to shift, against a height and a slope each, of which one height is free.
    assert wald.degrees_of_freedom == ratio.degrees_of_freedom == 4
    assert wald.p_value is not None and wald.p_value < 1e-6
    assert ratio.p_value is not None and ratio.p_value < 1e-6
    assert wald_lack_of_fit(precision, np.eye(8)).degrees_of_freedom == 0


def test_wald_and_likelihood_ratio_agree_on_independent_votes() -> None:
    true = np.concatenate([0.3 * np.log2(LEVELS / 5), 0.3 * np.log2(LEVELS / 5) + 0.4])
    votes, _ = study(true=true, taste=0.0, votes=20_000)
    lines = [Line(line.contenders, LEVELS, knots=np.array([5.0, 50.0])) for line in (SMALL, LARGE)]
    covariates = line_covariates(lines, 8)
    free = fit_model(tally(votes), ties="davidson")
    wald = wald_lack_of_fit(estimate_precision(free), covariates)
    ratio = likelihood_ratio(free, fit_model(tally(votes), ties="davidson", covariates=covariates))
    assert wald.statistic == pytest.approx(ratio.statistic, rel=0.02)
    assert wald.p_value == pytest.approx(ratio.p_value, abs=0.02)


def test_lack_of_fit_by_rater_is_found_wrongly_at_most_as_often_as_stated() -> None:
    true = np.concatenate([0.3 * np.log2(LEVELS / 5), 0.3 * np.log2(LEVELS / 5) + 0.4])
    lines = [Line(line.contenders, LEVELS, knots=np.array([5.0, 50.0])) for line in (SMALL, LARGE)]
    covariates = line_covariates(lines, 8)
    found = [wald_lack_of_fit(study(seed, votes=2000, true=true, taste=0.5)[1], covariates) for seed in range(150)]
    assert np.mean([one.p_value is not None and one.p_value < 0.05 for one in found]) <= 0.09


def test_lines_in_different_components_are_refused() -> None:
    votes = some_votes([(left, right, outcome) for left, right in ((0, 1), (2, 3)) for outcome in (0, 2)], 4)
    precision = estimate_precision(fit_model(tally(votes)))
    with pytest.raises(ValueError, match="do not link"):
        matching_level(precision, Line(np.array([0, 1]), LEVELS[:2]), Line(np.array([2, 3]), LEVELS[:2]), at=5)


@pytest.mark.parametrize(
    ("contenders", "levels", "knots"),
    [([0], [5.0], None), ([0, 1], [5.0, 5.0], None), ([0, 1], [0.0, 5.0], None), ([0, 1], [5.0, 9.0], [5.0])],
)
def test_malformed_lines_are_refused(contenders: list[int], levels: list[float], knots: list[float] | None) -> None:
    with pytest.raises(ValueError):
        Line(np.array(contenders), np.array(levels), None if knots is None else np.array(knots))

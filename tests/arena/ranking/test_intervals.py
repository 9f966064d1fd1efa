from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import chi2, norm
from scipy.stats import t as student

from arena.ranking import intervals
from arena.ranking.fitted import Ties
from arena.ranking.intervals import (
    critical_value,
    difference_intervals,
    outcome_probability_intervals,
    probability_best,
    rank_ranges,
    strength_intervals,
    tiers,
    win_probability_intervals,
)
from arena.ranking.largest_differences import largest_differences
from arena.ranking.models import fit_model
from arena.ranking.precision import Precision, estimate_precision
from arena.ranking.replicates import replicate
from arena.ranking.tallies import Votes, tally
from tests.arena.ranking.tables import tallies_of
from tests.arena.ranking.worlds import simulate_votes

Floats = NDArray[np.float64]
ALL: list[Ties] = ["half", "davidson", "rao-kupper", "drop"]
EVERYONE = np.arange(4)


def voting(strengths: tuple[float, ...] = (0.8, 0.3, 0.0, -0.5), votes: int = 800, seed: int = 0) -> Votes:
    rng = np.random.default_rng(seed)
    return simulate_votes(
        rng, np.array(strengths), votes=votes, raters=20, prompts=30, rater_taste=0.5, prompt_taste=0.3
    )


def run(votes: Votes, ties: Ties = "half", **options: object) -> Precision:
    return estimate_precision(fit_model(tally(votes), ties=ties), votes, **options)  # type: ignore[arg-type]


def test_strengths_reach_students_t_at_the_effective_clusters() -> None:
    result = run(voting())
    found = strength_intervals(result, level=0.9)

    reach = student.ppf(0.95, result.effective - 1) * result.standard_errors
    np.testing.assert_allclose(found.low, result.fit.strengths - reach)
    np.testing.assert_allclose(found.high, result.fit.strengths + reach)


def test_half_win_probabilities_are_the_differences_carried_over() -> None:
    result = run(voting())
    win, gaps = win_probability_intervals(result), difference_intervals(result)

    np.testing.assert_allclose(logit(win.estimate), gaps.estimate, atol=1e-12)
    np.testing.assert_allclose(win.low, expit(gaps.low))
    np.testing.assert_allclose(win.low, 1 - win.high.T)


@pytest.mark.parametrize("ties", ["davidson", "rao-kupper"])
def test_chances_with_ties_have_the_errors_of_their_bootstrap(ties: Ties) -> None:
    votes = voting(votes=3000)
    # The bootstrap knows no floor.
    result = replace(run(votes, ties, by=("rater",), method="cr0"), floors=())
    drawn = replicate(result.fit, votes, rng=np.random.default_rng(0), by=("rater",), replicates=1500)
    win, outcomes = win_probability_intervals(result), outcome_probability_intervals(result)
    quantile = student.ppf(0.975, result.degrees_of_freedom[0])

    gaps = drawn.strengths[:, 0] - drawn.strengths[:, 3]
    assert drawn.tie_parameter is not None
    if ties == "davidson":
        weights = np.array([np.exp(gaps / 2), drawn.tie_parameter, np.exp(-gaps / 2)])
        chances = weights / weights.sum(axis=0)
    else:
        chances = np.array([expit(gaps - drawn.tie_parameter), 0 * gaps, expit(-gaps - drawn.tie_parameter)])
        chances[1] = 1 - chances[0] - chances[2]
    for outcome in range(3):
        low, high = (logit(end[0, 3, outcome]) for end in (outcomes.low, outcomes.high))
        assert (high - low) / 2 == pytest.approx(quantile * logit(chances[outcome]).std(), rel=0.1)
    reach = (logit(win.high[0, 3]) - logit(win.low[0, 3])) / 2
    assert reach == pytest.approx(quantile * logit((1 + chances[0] - chances[2]) / 2).std(), rel=0.1)
    np.testing.assert_allclose(win.low, 1 - win.high.T)


def test_models_without_ties_say_nothing_of_outcomes() -> None:
    assert np.isnan(outcome_probability_intervals(run(voting())).low).all()


def test_an_interval_is_the_wider_of_that_by_clusters_and_that_of_independent_votes() -> None:
    result = run(voting())
    clustered, independent = result.differences_by_source
    found = difference_intervals(result)

    of_clusters = student.ppf(0.975, result.degrees_of_freedom[0]) * np.sqrt(clustered)
    of_votes = norm.ppf(0.975) * np.sqrt(independent)
    off = ~np.eye(4, dtype=bool)
    np.testing.assert_allclose((found.high - found.estimate)[off], np.maximum(of_clusters, of_votes)[off])
    # Clusters that happen to agree more than chance lets them leave the votes' own error.
    calm = difference_intervals(replace(result, covariance=result.covariance / 100))
    np.testing.assert_allclose((calm.high - calm.estimate)[off], of_votes[off])


def test_one_difference_alone_has_the_quantile_of_students_t() -> None:
    votes = simulate_votes(np.random.default_rng(0), np.array([0.2, -0.2]), votes=300, raters=10, prompts=10)
    result = run(votes)

    assert critical_value(result, np.arange(2)) == student.ppf(0.975, result.degrees_of_freedom[0])


def test_equal_independent_contenders_need_tukeys_studentised_range() -> None:
    rows = [(i, j, 500, 0, 500) for i in range(5) for j in range(5) if i != j]
    result = estimate_precision(fit_model(tallies_of(rows), side_bias=False), by=())

    # q(0.95; 5, infinity) / sqrt(2) from any table.
    assert critical_value(result, np.arange(5)) == pytest.approx(3.858 / np.sqrt(2), rel=0.01)


def test_simultaneous_intervals_are_wider_than_single_ones_and_narrower_than_bonferronis() -> None:
    result = run(voting())
    df = result.degrees_of_freedom[0]

    value = critical_value(result, EVERYONE)
    assert student.ppf(0.975, df) < value < student.ppf(1 - 0.025 / 6, df)


def test_ranks_and_tiers_share_one_critical_value_and_a_changed_copy_draws_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[int] = []

    def counted(*args: object, **options: object) -> Floats:
        drawn.append(1)
        found: Floats = largest_differences(*args, **options)  # type: ignore[arg-type]
        return found

    monkeypatch.setattr(intervals, "largest_differences", counted)
    result = run(voting())
    rank_ranges(result)
    tiers(result)
    difference_intervals(result, simultaneous=True)
    # One by clusters, one for independent votes.
    assert len(drawn) == 2
    rank_ranges(result, level=0.8)
    rank_ranges(replace(result))
    assert len(drawn) == 6


@pytest.mark.parametrize("ties", ALL)
def test_ranks_are_nested_in_the_level(ties: Ties) -> None:
    result = run(voting(votes=2000), ties)
    levels = [rank_ranges(result, level=level) for level in (0.5, 0.8, 0.95, 0.999)]

    for narrow, wide in zip(levels, levels[1:], strict=False):
        assert (wide.best <= narrow.best).all()
        assert (narrow.worst <= wide.worst).all()


def test_clear_winners_hold_one_rank_and_a_tier_of_their_own() -> None:
    votes = simulate_votes(np.random.default_rng(0), np.array([0.0, 2.5, -2.5, 0.0]), votes=4000, raters=50, prompts=50)
    result = run(votes)
    ranks = rank_ranges(result)

    assert (ranks.best.tolist(), ranks.worst.tolist()) == ([2, 1, 4, 2], [3, 1, 4, 3])
    assert tiers(result).tolist() == [2, 1, 3, 2]


def test_boards_apart_are_ranked_apart() -> None:
    rows = [(0, 1, 90, 0, 10), (2, 3, 10, 0, 90)]
    result = estimate_precision(fit_model(tallies_of(rows, contenders=5), side_bias=False), by=())
    ranks = rank_ranges(result)

    assert (ranks.best.tolist(), ranks.worst.tolist()) == ([1, 2, 2, 1, 1], [1, 2, 2, 1, 1])
    assert tiers(result).tolist() == [1, 2, 2, 1, 1]
    np.testing.assert_allclose(probability_best(result), [1, 0, 0, 1, np.nan])
    assert np.isnan(difference_intervals(result).low[:2, 2:]).all()


def test_chances_of_being_best_add_up_and_are_those_of_the_bootstrap() -> None:
    votes = voting((0.1, 0.0, 0.05, -0.4), votes=3000)
    result = run(votes, by=("rater",), method="cr0")
    drawn = replicate(result.fit, votes, rng=np.random.default_rng(0), by=("rater",), replicates=4000)
    chances = probability_best(result)

    assert chances.sum() == pytest.approx(1)
    shares = np.bincount(drawn.strengths.argmax(axis=1), minlength=4) / 4000
    np.testing.assert_allclose(chances, shares, atol=0.04)


def test_a_contender_without_an_interval_may_hold_any_rank() -> None:
    votes = voting(votes=400)
    assert votes.rater is not None
    meets_last = (votes.left == 3) | (votes.right == 3)
    one = Votes(votes.left, votes.right, votes.outcome, 4, np.where(meets_last, 0, votes.rater))
    result = run(one, by=("rater",))
    ranks = rank_ranges(result)

    assert (ranks.best[3], ranks.worst[3]) == (1, 4)
    assert np.isnan(probability_best(result)).all()


def test_a_clean_sweep_has_the_interval_of_the_penalised_likelihood() -> None:
    result = estimate_precision(fit_model(tallies_of([(0, 1, 5, 0, 0)]), side_bias=False), by=())
    gaps = difference_intervals(result)

    def penalised(gap: Floats) -> Floats:
        # 5 log p + log(p (1 - p)) / 2, up to a constant.
        value: Floats = 5.5 * np.log(expit(gap)) + 0.5 * np.log(expit(-gap))
        return value

    drop = penalised(np.log(11)) - penalised(np.array([gaps.low[0, 1], gaps.high[0, 1]]))
    np.testing.assert_allclose(drop, chi2.ppf(0.95, 1) / 2, atol=1e-4)
    assert gaps.low[0, 1] > 0
    assert gaps.high[0, 1] - np.log(11) > np.log(11) - gaps.low[0, 1]
    np.testing.assert_allclose(gaps.low[0, 1], -gaps.high[1, 0])
    win, strengths = win_probability_intervals(result), strength_intervals(result)
    np.testing.assert_allclose(win.low[0, 1], expit(gaps.low[0, 1]))
    np.testing.assert_allclose(
        [strengths.low[0], strengths.high[0]], [gaps.low[0, 1] / 2, gaps.high[0, 1] / 2], atol=1e-4
    )


def test_differences_that_have_an_estimate_keep_their_symmetric_interval_beside_a_clean_sweep() -> None:
    rows = [(0, 1, 5, 0, 0), (1, 2, 4, 1, 3), (0, 2, 3, 0, 0)]
    result = estimate_precision(fit_model(tallies_of(rows), side_bias=False), by=())
    gaps = difference_intervals(result)

    reach = norm.ppf(0.975) * result.difference_errors[1, 2]
    assert gaps.high[1, 2] - gaps.estimate[1, 2] == pytest.approx(reach)
    assert gaps.high[0, 1] - gaps.estimate[0, 1] > gaps.estimate[0, 1] - gaps.low[0, 1]


def test_intervals_cover_the_truth_as_often_as_they_say_and_independent_votes_do_not() -> None:
    covered: dict[tuple[str, ...], list[bool]] = {("rater", "prompt"): [], (): []}
    together = []
    pairs = np.triu_indices(4, 1)
    for seed in range(600):
        # Taste pulls averaged probabilities towards 1/2; a world of equals has the truth 1/2 whatever the taste.
        votes = voting((0.0, 0.0, 0.0, 0.0), seed=seed)
        fit = fit_model(tally(votes))
        results = {by: estimate_precision(fit, votes, by=by) for by in covered}
        for by, hits in covered.items():
            gaps = difference_intervals(results[by])
            hits.extend((gaps.low[pairs] < 0) & (gaps.high[pairs] > 0))
        joint = difference_intervals(results[("rater", "prompt")], simultaneous=True)
        together.append(bool(((joint.low[pairs] < 0) & (joint.high[pairs] > 0)).all()))
    # Of 600 worlds the standard error of a joint share of .95 is .009.
    assert 0.925 < np.mean(covered[("rater", "prompt")]) < 0.98
    assert 0.925 < np.mean(together) < 0.98
    assert np.mean(covered[()]) < 0.85


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_a_level_outside_0_to_1_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match="level of an interval"):
        strength_intervals(run(voting(votes=200)), level=level)

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import t as student

from arena.ranking.clusters import ClusterBy
from arena.ranking.tallies import BOTH_BAD, LEFT, NOBODY, RIGHT, TIE, Votes
from arena.ranking.uncertainty import (
    Bootstrap,
    bootstrap,
    probability_best,
    rank_ranges,
    strength_intervals,
    win_probability_against,
    win_probability_intervals,
)
from tests.arena.ranking.worlds import simulate_votes, some_votes

Floats = NDArray[np.float64]
STRENGTHS = np.array([1.0, 0.2, -0.2, -1.0])
NAN = np.nan


def run(votes: Votes, seed: int = 0, **options: Any) -> Bootstrap:
    return bootstrap(votes, rng=np.random.default_rng(seed), **{"replicates": 400, **options})


def voting(seed: int = 0, **options: Any) -> Votes:
    return simulate_votes(np.random.default_rng(seed), STRENGTHS, **{"votes": 1200, **options})


def from_raters(votes: Votes, rater: Any) -> Votes:
    return Votes(votes.left, votes.right, votes.outcome, votes.contenders, rater, votes.prompt)


def test_raters_of_strong_taste_widen_the_intervals_far_beyond_those_of_independent_votes() -> None:
    votes = voting(raters=10, rater_taste=0.8)
    errors = {by: run(votes, by=by).standard_errors for by in [("rater", "prompt"), ("rater",), ()]}

    assert (errors[("rater",)] > 1.7 * errors[()]).all()
    assert (errors[("rater", "prompt")] >= errors[("rater",)] * 0.95).all()


def test_prompts_widen_the_intervals_too() -> None:
    votes = voting(prompts=10, prompt_taste=0.8, raters=200)

    assert (run(votes).standard_errors > 1.7 * run(votes, by=("rater",)).standard_errors).all()


def test_without_taste_clustering_costs_little() -> None:
    votes = voting(votes=6000, raters=60, prompts=60)

    # The raw product weights would make these 1.7 times as wide.
    assert (run(votes, replicates=1000).standard_errors < 1.35 * run(votes, by=()).standard_errors).all()


@pytest.mark.parametrize("by", [("rater", "prompt"), ("rater",), ("prompt",), ()])
def test_the_same_seed_gives_the_same_numbers_whatever_the_order_of_votes(by: tuple[ClusterBy, ...]) -> None:
    votes = voting()
    order = np.random.default_rng(3).permutation(len(votes))
    assert votes.rater is not None
    assert votes.prompt is not None
    shuffled = Votes(
        votes.left[order], votes.right[order], votes.outcome[order], 4, votes.rater[order], votes.prompt[order]
    )

    once, again, other = run(votes, by=by), run(shuffled, by=by), run(votes, seed=1, by=by)
    np.testing.assert_allclose(again.replicates, once.replicates, rtol=0, atol=1e-9)
    np.testing.assert_allclose(again.difference_errors, once.difference_errors, rtol=0, atol=1e-9)
    assert np.abs(other.replicates - once.replicates).max() > 0.01


def test_swapping_the_sides_of_all_votes_changes_nothing() -> None:
    votes = voting()
    swapped = Votes(votes.right, votes.left, np.array([RIGHT, TIE, LEFT])[votes.outcome], 4, votes.rater, votes.prompt)

    before, after = run(votes), run(swapped)
    for field in fields(Bootstrap):
        if isinstance(getattr(before, field.name), np.ndarray):
            np.testing.assert_array_equal(getattr(after, field.name), getattr(before, field.name))


def test_win_probabilities_of_a_pair_mirror_each_other() -> None:
    intervals = win_probability_intervals(run(voting()))

    np.testing.assert_allclose(intervals.estimate + intervals.estimate.T, np.where(np.eye(4) == 1, NAN, 1), atol=1e-12)
    np.testing.assert_allclose(intervals.low, 1 - intervals.high.T, atol=1e-12)
    off = ~np.eye(4, dtype=bool)
    assert (intervals.low[off] > 0).all()
    assert (intervals.high[off] < 1).all()
    assert (intervals.low[off] < intervals.estimate[off]).all()
    assert (intervals.estimate[off] < intervals.high[off]).all()


def test_the_baseline_is_one_column_of_the_matrix() -> None:
    result = run(voting())
    matrix, against = win_probability_intervals(result), win_probability_against(result, 2)

    np.testing.assert_array_equal(against.estimate, matrix.estimate[:, 2])
    np.testing.assert_array_equal(against.low, matrix.low[:, 2])
    np.testing.assert_array_equal(against.high, matrix.high[:, 2])
    assert np.isnan(against.estimate[2])


def test_intervals_reach_students_t_at_the_effective_clusters() -> None:
    votes = voting()
    result = run(voting(), by=("rater",))
    sizes = np.bincount(votes.rater)  # type: ignore[arg-type]

    effective = sizes.sum() ** 2 / (sizes**2).sum()
    np.testing.assert_allclose(result.effective, np.full(4, effective))
    reach = student.ppf(0.95, effective - 1) * result.standard_errors
    intervals = strength_intervals(result, level=0.9)
    np.testing.assert_allclose(intervals.low, result.fit.strengths - reach, atol=1e-9)
    np.testing.assert_allclose(intervals.high, result.fit.strengths + reach, atol=1e-9)


def test_percentile_intervals_are_those_of_the_replicates() -> None:
    result = run(voting())
    intervals = strength_intervals(result, method="percentile")
    gaps = result.replicates[:, 0] - result.replicates[:, 1]

    np.testing.assert_allclose(intervals.low, np.quantile(result.replicates, 0.025, axis=0))
    np.testing.assert_allclose(intervals.high, np.quantile(result.replicates, 0.975, axis=0))
    matrix = win_probability_intervals(result, level=0.8, method="percentile")
    assert matrix.low[0, 1] == pytest.approx(expit(np.quantile(gaps, 0.1)))
    assert matrix.high[0, 1] == pytest.approx(expit(np.quantile(gaps, 0.9)))


@pytest.mark.parametrize(
    ("rater", "prompt", "by", "reason"),
    [
        (0, None, ("rater", "prompt"), "too_few_raters"),
        (0, None, ("rater",), "too_few_raters"),
        (NOBODY, None, ("rater", "prompt"), "too_few_raters"),
        (None, 0, ("rater", "prompt"), "too_few_prompts"),
        (0, 0, ("rater", "prompt"), "too_few_raters"),
        (None, 0, ("rater",), None),
    ],
)
@pytest.mark.parametrize("method", ["t", "percentile"])
def test_one_rater_or_one_prompt_gives_estimates_but_no_interval(
    rater: int | None, prompt: int | None, by: tuple[ClusterBy, ...], reason: str | None, method: Any
) -> None:
    votes = voting(votes=200)
    of_rater = votes.rater if rater is None else np.full(200, rater)
    of_prompt = votes.prompt if prompt is None else np.full(200, prompt)
    result = run(Votes(votes.left, votes.right, votes.outcome, 4, of_rater, of_prompt), by=by)

    assert result.no_interval == (reason,) * 4
    assert np.isfinite(result.fit.strengths).all()
    for intervals in (strength_intervals(result, method=method), win_probability_against(result, 0, method=method)):
        assert np.isfinite(intervals.estimate[1:]).all()
        assert np.isnan(intervals.low[1:]).all() == np.isnan(intervals.high[1:]).all() == (reason is not None)
    if reason is not None:
        np.testing.assert_array_equal(probability_best(result), np.full(4, NAN))
        np.testing.assert_array_equal(rank_ranges(result).best, np.full(4, 1))
        np.testing.assert_array_equal(rank_ranges(result).worst, np.full(4, 4))


def test_a_second_rater_with_a_handful_of_votes_does_not_make_an_interval() -> None:
    votes = voting(votes=200)

    assert run(from_raters(votes, (np.arange(200) < 5).astype(int))).no_interval == ("too_few_raters",) * 4


def test_a_contender_seen_by_one_rater_has_no_interval_and_the_others_keep_theirs() -> None:
    votes = voting(votes=400)
    assert votes.rater is not None
    meets_last = (votes.left == 3) | (votes.right == 3)
    result = run(from_raters(votes, np.where(meets_last, 0, votes.rater)))

    assert result.no_interval == (None, None, None, "too_few_raters")
    known = ~np.isnan(win_probability_intervals(result).low)
    np.testing.assert_array_equal(known, [[0, 1, 1, 0], [1, 0, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0]])
    ranks = rank_ranges(result)
    assert (ranks.best[3], ranks.worst[3]) == (1, 4)


def test_contenders_that_cannot_be_compared_are_alone_and_the_rest_is_estimated() -> None:
    votes = voting(votes=300)
    joined = Votes(votes.left, votes.right, votes.outcome, 5, votes.rater, votes.prompt)
    alone, result = run(votes), run(joined)

    assert result.no_interval == (None, None, None, None, "alone")
    np.testing.assert_array_equal(result.replicates, np.hstack([alone.replicates, np.full((400, 1), NAN)]))
    np.testing.assert_array_equal(probability_best(result), [*probability_best(alone), NAN])
    assert (rank_ranges(result).best[4], rank_ranges(result).worst[4]) == (1, 1)
    matrix = win_probability_intervals(result)
    np.testing.assert_array_equal(matrix.low[:4, :4], win_probability_intervals(alone).low)
    assert np.isnan(matrix.low[4]).all()
    assert np.isnan(matrix.high[:, 4]).all()


def test_boards_without_a_common_vote_are_ranked_apart() -> None:
    strong, weak = [(0, 1, LEFT)] * 9 + [(1, 0, LEFT)], [(2, 3, LEFT)] * 9 + [(3, 2, LEFT)]
    rows = [(*row, number % 7, number % 11) for number, row in enumerate((strong + weak) * 6)]
    result = run(some_votes(rows, 4))

    assert rank_ranges(result).best.tolist() == rank_ranges(result).worst.tolist() == [1, 2, 1, 2]
    np.testing.assert_array_equal(probability_best(result), [1, 0, 1, 0])
    assert np.isnan(win_probability_intervals(result).low[:2, 2:]).all()


def test_no_votes_at_all_give_no_numbers_and_no_error() -> None:
    result = run(some_votes([], 3, rater=np.array([], dtype=int), prompt=np.array([], dtype=int)))

    assert result.no_interval == ("alone",) * 3
    np.testing.assert_array_equal(strength_intervals(result).low, np.full(3, NAN))
    np.testing.assert_array_equal(win_probability_intervals(result).estimate, np.full((3, 3), NAN))


def test_a_few_ties_are_not_certainty() -> None:
    result = run(some_votes([(0, 1, TIE, rater, rater) for rater in range(5)], 2))
    intervals = win_probability_intervals(result)

    assert intervals.estimate[0, 1] == 0.5
    assert intervals.low[0, 1] < 0.35


def test_both_bad_votes_can_be_left_out() -> None:
    votes = voting(votes=300)
    bad = np.arange(300) % 5 == 0
    marked = Votes(votes.left, votes.right, np.where(bad, BOTH_BAD, votes.outcome), 4, votes.rater, votes.prompt)
    columns = {name: getattr(votes, name)[~bad] for name in ("left", "right", "outcome", "rater", "prompt")}
    without = Votes(contenders=4, **columns)

    np.testing.assert_array_equal(run(marked, drop_both_bad=True).replicates, run(without).replicates)


def test_doubling_every_weight_changes_neither_strengths_nor_errors() -> None:
    votes = voting(votes=300)
    columns = (votes.left, votes.right, votes.outcome, 4, votes.rater, votes.prompt)
    single, double = run(Votes(*columns)), run(Votes(*columns, weight=np.full(300, 2.0)))

    np.testing.assert_allclose(double.fit.strengths, single.fit.strengths, atol=1e-9)
    np.testing.assert_allclose(double.difference_errors, single.difference_errors, atol=1e-9)


def test_clear_winners_hold_one_rank_and_equals_share_theirs() -> None:
    votes = simulate_votes(np.random.default_rng(0), np.array([2.5, 0.0, 0.0, -2.5]), votes=4000, raters=50, prompts=50)
    ranks = rank_ranges(run(votes))

    assert (ranks.best.tolist(), ranks.worst.tolist()) == ([1, 2, 2, 4], [1, 3, 3, 4])


def test_rank_ranges_are_nested_in_the_level() -> None:
    result = run(voting(votes=300))
    wide, narrow = rank_ranges(result, level=0.99), rank_ranges(result, level=0.5)

    assert (wide.best <= narrow.best).all()
    assert (narrow.worst <= wide.worst).all()


def test_two_contenders_are_ranked_as_their_interval_says() -> None:
    """With one difference there is nothing to be simultaneous about, but for the tails of the replicates."""
    agreed = 0
    for seed in range(40):
        votes = simulate_votes(np.random.default_rng(seed), np.array([0.2, -0.2]), votes=200, raters=10, prompts=10)
        result = run(votes)
        intervals, ranks = win_probability_intervals(result), rank_ranges(result)
        decided = intervals.low[0, 1] > 0.5 or intervals.high[0, 1] < 0.5
        agreed += decided == (ranks.worst[0] == ranks.best[0])
    assert agreed >= 36


def test_chances_of_being_best_add_up() -> None:
    chances = probability_best(run(voting()))

    assert chances.sum() == pytest.approx(1)
    assert chances[0] > 0.9


def test_intervals_cover_the_truth_as_often_as_they_say_and_independent_votes_do_not() -> None:
    # Taste pulls averaged probabilities towards 1/2; a world of equals has the truth 1/2 whatever the taste.
    covered: dict[tuple[str, ...], list[bool]] = {("rater", "prompt"): [], (): []}
    pairs = np.triu_indices(4, 1)
    for seed in range(120):
        votes = simulate_votes(
            np.random.default_rng(seed),
            np.zeros(4),
            votes=800,
            raters=20,
            prompts=40,
            rater_taste=0.5,
            prompt_taste=0.3,
        )
        for by, hits in covered.items():
            intervals = win_probability_intervals(run(votes, seed=seed, by=by, replicates=200))
            hits.extend((intervals.low[pairs] < 0.5) & (intervals.high[pairs] > 0.5))
    assert 0.925 < np.mean(covered[("rater", "prompt")]) < 0.985
    assert np.mean(covered[()]) < 0.85


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"by": ("rater",)}, "the votes carry no raters"),
        ({"by": ("prompt",)}, "the votes carry no prompts"),
        ({"by": ("rater", "rater")}, "not by rater, rater"),
        ({"by": ("colour",)}, "not by colour"),
        ({"by": (), "replicates": 1}, "at least 2 replicates, not 1"),
    ],
)
def test_what_cannot_be_done_is_refused(options: dict[str, Any], reason: str) -> None:
    votes = some_votes([(0, 1, LEFT), (1, 0, LEFT)], 2)
    with pytest.raises(ValueError, match=reason):
        run(votes, **options)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_a_level_outside_0_to_1_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match="level of an interval"):
        strength_intervals(run(voting(votes=200)), level=level)

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from arena.ranking.bradley_terry import fit_half_win
from arena.ranking.clusters import (
    Clusters,
    GroupVotes,
    clusters_per_contender,
    effective_clusters,
    group_votes,
    jackknife,
    model_covariance,
    sandwich,
)
from arena.ranking.tallies import BOTH_BAD, LEFT, NOBODY, RIGHT, TIE, Votes, tally
from tests.arena.ranking.worlds import simulate_votes, some_votes

Floats = NDArray[np.float64]


def whole_group(votes: Votes, *, drop_both_bad: bool = False) -> tuple[GroupVotes, Floats]:
    fit = fit_half_win(tally(votes).half_wins(drop_both_bad=drop_both_bad))
    everyone = np.arange(votes.contenders)
    return group_votes(votes, everyone, fit.half_wins, drop_both_bad=drop_both_bad), fit.strengths


def each_vote_alone(votes: int) -> Clusters:
    return Clusters(np.arange(votes), votes)


def test_votes_are_read_from_the_side_of_the_first_contender_of_their_pair() -> None:
    rows = [(0, 1, LEFT, 7, 3), (1, 0, LEFT, 9, 3), (2, 1, TIE, 7, 5), (1, 2, BOTH_BAD, 7, 3), (0, 2, RIGHT, 8, 4)]
    group, _ = whole_group(some_votes([*rows, (2, 0, RIGHT, 9, 4)], 3))

    pairs = list(zip(group.results.first[group.pair], group.results.second[group.pair], strict=True))
    assert pairs == [(0, 1), (0, 1), (1, 2), (1, 2), (0, 2), (0, 2)]
    np.testing.assert_array_equal(group.share, [1, 0, 0.5, 0.5, 0, 1])
    np.testing.assert_array_equal(group.clusters("rater").of_vote, [0, 2, 0, 0, 1, 2])
    np.testing.assert_array_equal(group.clusters("prompt").of_vote, [0, 0, 2, 0, 1, 1])
    np.testing.assert_array_equal(group.cells().of_vote, [0, 3, 1, 0, 2, 4])


def test_votes_left_out_of_the_points_are_left_out_of_the_clusters() -> None:
    rows = [(0, 1, LEFT, 0, 0), (1, 0, LEFT, 1, 0), (0, 1, BOTH_BAD, 2, 0)]
    group, _ = whole_group(some_votes(rows, 2), drop_both_bad=True)

    assert (len(group.pair), group.clusters("rater").count) == (2, 2)


def test_votes_of_nobody_are_in_no_cluster() -> None:
    rows = [(0, 1, LEFT, 4, 0), (1, 0, LEFT, NOBODY, 0), (0, 1, TIE, 6, 1)]
    group, _ = whole_group(some_votes(rows, 2))

    np.testing.assert_array_equal(group.clusters("rater").of_vote, [0, NOBODY, 1])
    np.testing.assert_array_equal(group.cells().of_vote, [0, NOBODY, 1])
    assert effective_clusters(group, group.clusters("rater")) == 2


def test_effective_clusters_are_fewer_where_sizes_differ() -> None:
    rows = [(0, 1, LEFT, 0, 0), (1, 0, LEFT, 0, 1), (0, 1, TIE, 0, 2), (0, 1, TIE, 1, 3)]
    group, _ = whole_group(some_votes(rows, 2))

    assert effective_clusters(group, group.clusters("rater")) == 16 / 10
    assert effective_clusters(group, group.clusters("prompt")) == 4


def test_clusters_are_counted_for_each_contender() -> None:
    rows = [(0, 1, LEFT, 0, 0), (1, 0, LEFT, 1, 0), (1, 2, TIE, 1, 1), (2, 1, TIE, 1, 0)]
    group, _ = whole_group(some_votes(rows, 3))

    assert clusters_per_contender(group, group.clusters("rater")).tolist() == [2, 2, 1]
    assert clusters_per_contender(group, group.clusters("prompt")).tolist() == [1, 2, 2]


def test_two_contenders_without_ties_have_the_textbook_variance() -> None:
    group, strengths = whole_group(some_votes([(0, 1, LEFT)] * 7 + [(1, 0, LEFT)] * 3, 2))

    # Of the log odds: 1/wins + 1/losses; each of two centred strengths is half of it.
    quarter = (1 / 7 + 1 / 3) / 4 * np.array([[1, -1], [-1, 1]])
    np.testing.assert_allclose(model_covariance(group.results, strengths), quarter, atol=1e-12)
    np.testing.assert_allclose(sandwich(group, strengths, each_vote_alone(10)), quarter, atol=1e-12)


def test_a_rater_who_votes_in_one_voice_counts_as_one_vote() -> None:
    once = [(0, 1, LEFT, 0), (0, 1, LEFT, 1), (0, 1, RIGHT, 2)]
    group, strengths = whole_group(some_votes(once * 4, 2))
    alone, _ = whole_group(some_votes(once, 2))

    np.testing.assert_allclose(
        sandwich(group, strengths, group.clusters("rater")), sandwich(alone, strengths, each_vote_alone(3)), atol=1e-12
    )


def test_the_jackknife_agrees_with_fits_that_really_leave_each_rater_out() -> None:
    votes = simulate_votes(np.random.default_rng(0), np.linspace(-1, 1, 4), votes=3000, raters=30, rater_taste=0.5)
    group, strengths = whole_group(votes)
    assert votes.rater is not None

    shifts = []
    for rater in range(30):
        others = votes.rater != rater
        rest = Votes(votes.left[others], votes.right[others], votes.outcome[others], 4)
        shifts.append(fit_half_win(tally(rest)).strengths - strengths)
    left_out = np.array(shifts)
    np.testing.assert_allclose(
        jackknife(group, strengths, group.clusters("rater")), left_out.T @ left_out * 29 / 30, rtol=0.02, atol=1e-5
    )


def test_the_jackknife_stays_finite_where_one_rater_alone_links_a_contender() -> None:
    rows = (
        [(0, 1, LEFT, r) for r in range(6)] + [(1, 0, LEFT, r) for r in range(4)] + [(1, 2, LEFT, 9), (2, 1, LEFT, 9)]
    )
    group, strengths = whole_group(some_votes(rows, 3))

    assert np.abs(jackknife(group, strengths, group.clusters("rater"))).max() < 10


def test_clustering_by_what_the_votes_do_not_carry_is_refused() -> None:
    group, _ = whole_group(some_votes([(0, 1, LEFT), (1, 0, LEFT)], 2))
    with pytest.raises(ValueError, match="the votes carry no raters"):
        group.clusters("rater")

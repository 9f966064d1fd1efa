from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from arena.ranking import cluster_scores, jackknife
from arena.ranking.cluster_scores import ScoredVotes
from arena.ranking.fitted import Ties
from arena.ranking.jackknife import Jackknife
from arena.ranking.models import fit_model
from arena.ranking.tallies import BOTH_BAD, LEFT, NOBODY, RIGHT, TIE, Votes, tally
from tests.arena.ranking.worlds import simulate_votes, some_votes

Floats = NDArray[np.float64]
ALL: list[Ties] = ["half", "davidson", "rao-kupper", "drop"]


def voting(votes: int = 600, **options: float) -> Votes:
    rng = np.random.default_rng(0)
    return simulate_votes(rng, np.array([0.0, 0.3, 0.8, 1.1]), votes=votes, raters=12, prompts=9, **options)


def scored(votes: Votes, ties: Ties = "half", **options: object) -> ScoredVotes:
    return ScoredVotes(fit_model(tally(votes), ties=ties, **options), votes)  # type: ignore[arg-type]


@pytest.mark.parametrize("ties", ALL)
@pytest.mark.parametrize("side_bias", [True, False])
def test_scores_of_all_clusters_add_up_to_nothing_at_the_maximum(ties: Ties, side_bias: bool) -> None:
    data = scored(voting(), ties, side_bias=side_bias)
    scores = data.scores(data.partition("rater"))

    assert scores.shape == (12, 4 + side_bias + (ties in ("davidson", "rao-kupper")))
    np.testing.assert_allclose(scores.sum(axis=0), 0, atol=1e-9)


@pytest.mark.parametrize("ties", ALL)
@pytest.mark.parametrize("side_bias", [True, False])
def test_the_score_of_a_rater_is_the_gradient_of_that_raters_votes(ties: Ties, side_bias: bool) -> None:
    votes = voting()
    data = scored(votes, ties, side_bias=side_bias)
    assert votes.rater is not None
    own = votes.rater == 5
    rest = Votes(votes.left[own], votes.right[own], votes.outcome[own], 4)
    counts = tally(rest).outcomes()
    if ties == "drop":
        counts[:, :, TIE] = 0
    problem = data.fit.problem.of(counts, link=data.fit.problem.link, side=side_bias, groups=data.fit.problem.groups)

    expected = problem.gradient(data.fit.parameters[:, None])[:, 0]
    np.testing.assert_allclose(data.scores(data.partition("rater"))[5], expected, atol=1e-10)


@pytest.mark.parametrize("ties", ALL)
def test_leaving_a_rater_out_is_foreseen_by_one_newton_step(ties: Ties) -> None:
    votes = voting(votes=6000)
    data = scored(votes, ties)
    assert votes.rater is not None
    shifts = Jackknife(data, data.partition("rater")).shifts()

    for rater in range(12):
        others = votes.rater != rater
        without = fit_model(tally(Votes(votes.left[others], votes.right[others], votes.outcome[others], 4)), ties=ties)
        moved = data.fit.strengths - without.strengths
        np.testing.assert_allclose(shifts[rater, :4], moved, atol=0.01 * np.abs(shifts[:, :4]).max())
        assert shifts[rater, 4] == pytest.approx((data.fit.side_bias or 0) - (without.side_bias or 0), abs=1e-3)


@pytest.mark.parametrize("ties", ALL)
def test_the_series_agrees_with_the_exact_jackknife(ties: Ties, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    votes = simulate_votes(rng, np.array([0.0, 0.3, 0.8, 1.1]), votes=20_000, raters=400)
    votes = replace(votes, weight=rng.uniform(0.5, 2, 20_000))
    data = scored(votes, ties)
    each = Jackknife(data, data.partition("rater"))
    quick = each.shifts()
    assert each.leverages().max() < jackknife._LIGHT

    monkeypatch.setattr(jackknife, "_LIGHT", -1.0)
    exact = each.shifts()
    np.testing.assert_allclose(quick, exact, atol=1e-3 * float(np.abs(exact).max()))
    monkeypatch.setattr(jackknife, "CHUNK", 200)
    monkeypatch.setattr(cluster_scores, "CHUNK", 200)
    np.testing.assert_allclose(each.shifts(), exact, atol=1e-12)


@pytest.mark.parametrize("ties", ALL)
def test_among_many_contenders_the_series_goes_on_until_it_is_exact(
    ties: Ties, monkeypatch: pytest.MonkeyPatch
) -> None:
    votes = voting()
    assert votes.rater is not None and votes.prompt is not None
    # One rater alone has seen the last contender: no series settles that one.
    alone = (votes.left != 3) & (votes.right != 3) | (votes.rater == 5)
    left, right, outcome = (each[alone] for each in (votes.left, votes.right, votes.outcome))
    for some in (votes, Votes(left, right, outcome, 4, votes.rater[alone], votes.prompt[alone])):
        data = scored(some, ties)
        each = Jackknife(data, data.partition("rater"))
        monkeypatch.setattr(jackknife, "_LIGHT", -1.0)
        exact, squares = each.shifts(), each.squares()
        with monkeypatch.context() as many:
            many.setattr(jackknife, "MANY", 4)
            many.setattr(jackknife, "_LARGE", 8)
            np.testing.assert_allclose(each.shifts(), exact, atol=1e-5 * float(np.abs(exact).max()))
            np.testing.assert_allclose(each.squares(), squares, atol=1e-5 * float(np.abs(squares).max()))


@pytest.mark.parametrize("ties", ALL)
def test_leverages_bound_what_each_cluster_knows_of_the_whole(ties: Ties) -> None:
    data = scored(voting(), ties)
    partition = data.partition("rater")
    rows = np.flatnonzero(partition.of_vote < partition.count)
    each = Jackknife(data, partition)
    own = each._information(rows, partition.of_vote[rows], partition.count)

    np.testing.assert_allclose(each.leverages(), [np.trace(data.fit.bread @ information) for information in own])
    # Together they know all there is: the number of free parameters.
    assert each.leverages().sum() == pytest.approx(data.fit.free_parameters)


@pytest.mark.parametrize("ties", ALL)
def test_many_small_clusters_are_counted_instead_of_listed(ties: Ties, monkeypatch: pytest.MonkeyPatch) -> None:
    votes = replace(voting(), weight=np.random.default_rng(1).uniform(0.5, 2, 600))
    data = scored(votes, ties)
    cells = data.cells(data.partition("rater"), data.partition("prompt"))
    listed = data.meat(cells)

    monkeypatch.setattr(cluster_scores, "CHUNK", 40)
    np.testing.assert_allclose(data.meat(cells), listed, rtol=1e-10, atol=1e-10)
    monkeypatch.setattr(cluster_scores, "MANY", 4)
    np.testing.assert_allclose(data.meat(cells), listed, rtol=1e-10, atol=1e-10)
    of_both = data.cell_meat(data.partition("rater"), data.partition("prompt"))
    np.testing.assert_allclose(of_both, listed, rtol=1e-10, atol=1e-10)


def test_votes_that_are_not_counted_are_in_no_cluster() -> None:
    rows = [(0, 1, LEFT, 0, 0), (1, 0, LEFT, 1, 0), (0, 1, BOTH_BAD, 2, 0), (0, 1, TIE, 3, 0), (0, 1, RIGHT, NOBODY, 1)]
    votes = some_votes(rows, 2)

    assert scored(votes).partition("rater").count == 4
    assert scored(votes, both_bad="drop").partition("rater").count == 3
    dropped = scored(votes, "drop")
    np.testing.assert_array_equal(dropped.partition("rater").of_vote, [0, 1, 2, 2, 2])
    assert dropped.partition("prompt").count == 2
    np.testing.assert_array_equal(dropped.sizes(dropped.partition("rater")), [[1, 1]])


def test_labels_may_be_large_and_with_gaps() -> None:
    rows = [(0, 1, LEFT, 10**12, 7), (1, 0, LEFT, 5, 7), (0, 1, LEFT, 10**12, 900)]
    data = scored(some_votes(rows, 2))

    np.testing.assert_array_equal(data.partition("rater").of_vote, [1, 0, 1])
    np.testing.assert_array_equal(data.cells(data.partition("rater"), data.partition("prompt")).of_vote, [1, 0, 2])


def test_clusters_are_sized_by_component_and_counted_by_contender() -> None:
    rows = [(0, 1, LEFT, 0), (1, 0, LEFT, 1), (1, 0, TIE, 1), (2, 3, LEFT, 1), (3, 2, LEFT, 2)]
    data = scored(some_votes(rows, 4), side_bias=False)
    partition = data.partition("rater")

    np.testing.assert_array_equal(data.sizes(partition), [[1, 2, 0], [0, 1, 1]])
    assert data.contender_clusters(partition).tolist() == [2, 2, 2, 2]


def test_a_part_of_many_votes_is_enough_to_see_that_everybody_has_clusters_enough() -> None:
    rng = np.random.default_rng(0)
    left = rng.integers(0, 4, 50_000)
    right = (left + rng.integers(1, 4, 50_000)) % 4
    rater = np.arange(50_000) % 500
    data = scored(Votes(left, right, np.full(50_000, LEFT), 4, rater=rater), side_bias=False)
    partition = data.partition("rater")
    assert (data.contender_clusters(partition, enough=2) >= 2).all()
    np.testing.assert_array_equal(data.contender_clusters(partition, enough=501), data.contender_clusters(partition))

    # One who comes in late, and with one rater alone, is not overlooked.
    late = (left != 3) & (right != 3)
    rows = np.concatenate([np.flatnonzero(late), np.flatnonzero(~late & (rater == 7))])
    data = scored(Votes(left[rows], right[rows], np.full(len(rows), LEFT), 4, rater=rater[rows]), side_bias=False)
    assert data.contender_clusters(data.partition("rater"), enough=2).tolist()[3] == 1


def test_votes_without_raters_are_refused() -> None:
    with pytest.raises(ValueError, match="the votes carry no raters"):
        scored(some_votes([(0, 1, LEFT), (1, 0, LEFT)], 2)).partition("rater")

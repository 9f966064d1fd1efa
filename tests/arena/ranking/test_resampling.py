from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from arena.ranking import resampling
from arena.ranking.bradley_terry import fit_half_win
from arena.ranking.clusters import ClusterBy, GroupVotes, group_votes
from arena.ranking.resampling import resample
from arena.ranking.tallies import LEFT, NOBODY, Votes, tally
from tests.arena.ranking.worlds import simulate_votes

Floats = NDArray[np.float64]
STRENGTHS = np.array([0.6, 0.1, -0.2, -0.5])
EVERY_WAY: list[tuple[ClusterBy, ...]] = [("rater", "prompt"), ("rater",), ("prompt",), ()]


class EqualWeights(np.random.Generator):
    """Draws every weight at its expected value."""

    def standard_gamma(self, shape: Any, size: Any = None, *_: Any) -> Any:  # type: ignore[override]
        return np.broadcast_to(shape, size)


def voting(**options: Any) -> tuple[Votes, GroupVotes, Floats]:
    votes = simulate_votes(np.random.default_rng(5), STRENGTHS, votes=400, raters=12, prompts=9, **options)
    fit = fit_half_win(tally(votes))
    return votes, group_votes(votes, np.arange(4), fit.half_wins, drop_both_bad=False), fit.strengths


def reweighted_fit(votes: Votes, weight: Floats) -> Floats:
    weighted = Votes(votes.left, votes.right, votes.outcome, votes.contenders, weight=weight)
    return fit_half_win(tally(weighted)).strengths


@pytest.mark.parametrize("by", EVERY_WAY)
def test_equal_weights_give_the_fit_itself(by: tuple[ClusterBy, ...]) -> None:
    _, group, strengths = voting()
    replicates = resample(group, strengths, by=by, replicates=3, rng=EqualWeights(np.random.PCG64(0)))

    np.testing.assert_allclose(replicates, np.tile(strengths, (3, 1)), rtol=0, atol=1e-9)


def test_a_two_way_replicate_is_the_fit_of_votes_weighted_by_rater_times_prompt() -> None:
    votes, group, strengths = voting()
    assert votes.rater is not None
    assert votes.prompt is not None
    replicates = resample(group, strengths, by=("rater", "prompt"), replicates=5, rng=np.random.default_rng(8))

    weights = np.random.default_rng(8).standard_exponential((5, 12 + 9))
    expected = [reweighted_fit(votes, row[:12][votes.rater] * row[12:][votes.prompt]) for row in weights]
    np.testing.assert_allclose(replicates, expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("by", ["rater", "prompt"])
def test_a_one_way_replicate_weighs_whole_clusters(by: ClusterBy) -> None:
    votes, group, strengths = voting()
    label = getattr(votes, by)
    replicates = resample(group, strengths, by=(by,), replicates=5, rng=np.random.default_rng(8))

    weights = np.random.default_rng(8).standard_exponential((5, label.max() + 1))
    expected = [reweighted_fit(votes, row[label]) for row in weights]
    np.testing.assert_allclose(replicates, expected, rtol=0, atol=1e-8)


def test_votes_of_nobody_keep_their_weight_when_raters_are_drawn() -> None:
    votes, _, _ = voting()
    assert votes.rater is not None
    rater = np.where(np.arange(400) % 4 == 0, NOBODY, votes.rater)
    some = Votes(votes.left, votes.right, votes.outcome, 4, rater, votes.prompt)
    fit = fit_half_win(tally(some))
    group = group_votes(some, np.arange(4), fit.half_wins, drop_both_bad=False)
    replicates = resample(group, fit.strengths, by=("rater",), replicates=5, rng=np.random.default_rng(8))

    weights = np.random.default_rng(8).standard_exponential((5, 12))
    expected = [reweighted_fit(some, np.where(rater == NOBODY, 1, row[rater])) for row in weights]
    np.testing.assert_allclose(replicates, expected, rtol=0, atol=1e-8)


def test_independent_votes_spread_as_the_textbook_says() -> None:
    outcome = np.repeat([LEFT, 2], [70, 30])
    votes = Votes(np.zeros(100, dtype=int), np.ones(100, dtype=int), outcome, 2)
    fit = fit_half_win(tally(votes))
    group = group_votes(votes, np.arange(2), fit.half_wins, drop_both_bad=False)
    gap = np.diff(resample(group, fit.strengths, by=(), replicates=20_000, rng=np.random.default_rng(0)))

    assert gap.std() == pytest.approx(np.sqrt(1 / 70 + 1 / 30), rel=0.03)


def test_the_weight_of_a_vote_scales_its_random_weight() -> None:
    votes, _, _ = voting()
    heavy = Votes(votes.left, votes.right, votes.outcome, 4, weight=np.where(np.arange(400) < 200, 1.0, 3.0))
    fit = fit_half_win(tally(heavy))
    group = group_votes(heavy, np.arange(4), fit.half_wins, drop_both_bad=False)
    replicates = resample(group, fit.strengths, by=(), replicates=2, rng=EqualWeights(np.random.PCG64(0)))

    np.testing.assert_allclose(replicates, np.tile(fit.strengths, (2, 1)), rtol=0, atol=1e-9)


@pytest.mark.parametrize("by", EVERY_WAY)
def test_the_size_of_a_batch_does_not_change_the_numbers(
    by: tuple[ClusterBy, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, group, strengths = voting()
    whole = resample(group, strengths, by=by, replicates=50, rng=np.random.default_rng(1))
    monkeypatch.setattr(resampling, "_BATCH", 500)
    parts = resample(group, strengths, by=by, replicates=50, rng=np.random.default_rng(1))

    np.testing.assert_allclose(parts, whole, rtol=0, atol=1e-9)

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from arena.ranking.categories import pool
from arena.ranking.cluster_scores import ClusterBy
from arena.ranking.intervals import difference_intervals, strength_intervals
from arena.ranking.models import fit_model
from arena.ranking.precision import Precision, estimate_precision
from arena.ranking.stacked import Stacked, composite, criterion_gaps, simultaneous_differences, stack
from arena.ranking.tallies import LEFT, RIGHT, TIE, Votes, tally
from tests.arena.ranking.worlds import simulate_votes

TRUE = np.array([0.8, 0.2, -0.3, -0.7])


def three_criteria(seed: int = 0, *, votes: int = 2400, agree: float = 0.7) -> list[Votes]:
    """The same raters on the same ballots; on the second criterion they mostly repeat themselves."""
    rng = np.random.default_rng(seed)
    first = simulate_votes(rng, TRUE, votes=votes, raters=40, rater_taste=0.6, prompt_taste=0.4)
    fresh = simulate_votes(rng, TRUE, votes=votes, raters=40, rater_taste=0.6, prompt_taste=0.4)
    copied = rng.random(votes) < agree
    gap = TRUE[first.left] - TRUE[first.right]
    drawn = np.where(rng.random(votes) < expit(gap), LEFT, RIGHT)
    drawn[rng.random(votes) < 0.2] = TIE
    return [first, replace(first, outcome=np.where(copied, first.outcome, drawn)), fresh]


def precise(votes: Votes, by: Sequence[ClusterBy]) -> Precision:
    return estimate_precision(fit_model(tally(votes), ties="davidson"), votes, by=by)


def stacked(votes: list[Votes], by: Sequence[ClusterBy] = ("rater",)) -> Stacked:
    return stack([precise(own, by) for own in votes], votes)


def test_blocks_on_the_diagonal_are_the_single_fits() -> None:
    votes = three_criteria()
    # Some raters skip the third criterion: their places must not move.
    left, right, outcome, rater, prompt = (
        column[votes[2].rater % 3 > 0]  # type: ignore[operator, index]
        for column in (votes[2].left, votes[2].right, votes[2].outcome, votes[2].rater, votes[2].prompt)
    )
    votes[2] = Votes(left, right, outcome, 4, rater, prompt)
    found = stacked(votes)
    for place, precision in enumerate(found.precisions):
        block = slice(4 * place, 4 * place + 4)
        np.testing.assert_allclose(found.covariance[block, block], precision.covariance[:4, :4], rtol=1e-9)


def test_two_way_blocks_are_the_single_fits() -> None:
    found = stacked(three_criteria(), ("rater", "prompt"))
    for place, precision in enumerate(found.precisions):
        block = slice(4 * place, 4 * place + 4)
        np.testing.assert_allclose(
            found.covariance[block, block], precision.covariance[:4, :4], atol=1e-3 * precision.covariance.max()
        )


@pytest.mark.parametrize("by", [("rater",), ("rater", "prompt")])
def test_a_duplicated_criterion_has_correlation_one(by: Sequence[ClusterBy]) -> None:
    votes = three_criteria()
    found = stacked([votes[0], votes[2], votes[0]], by)
    np.testing.assert_allclose(np.diagonal(found.correlation[:4, 8:]), 1, rtol=1e-9)
    gaps = criterion_gaps(found, 0, 2)
    np.testing.assert_allclose((gaps.low, gaps.high), 0, atol=1e-6)


def test_composite_of_identical_criteria_has_the_single_intervals() -> None:
    votes = three_criteria()[0]
    found = composite(stacked([votes, votes]), np.array([0.3, 0.7]))
    single = precise(votes, ("rater",))
    np.testing.assert_allclose(found.strengths.low, strength_intervals(single).low, rtol=1e-6)
    np.testing.assert_allclose(found.differences.high, difference_intervals(single).high, rtol=1e-6)


def test_weight_on_one_criterion_is_that_criterion() -> None:
    found = stacked(three_criteria(), ("rater", "prompt"))
    alone = composite(found, np.array([0.0, 1.0, 0.0]))
    np.testing.assert_allclose(alone.strengths.high, strength_intervals(found.precisions[1]).high, rtol=1e-9)


def test_what_all_votes_say_has_the_normal_quantile_and_not_the_t_of_few_clusters() -> None:
    # Six raters without a taste of their own show less variance than their votes.
    votes = [simulate_votes(np.random.default_rng(seed), TRUE, votes=1500, raters=6) for seed in (1, 2)]
    found = stacked(votes)
    assert any((own.differences_by_source[0] < own.differences_by_source[1]).any() for own in found.precisions)
    pooled, joint = pool(found, spread=np.inf), simultaneous_differences(found)
    for place, precision in enumerate(found.precisions):
        single = strength_intervals(precision)
        alone = composite(found, np.eye(2)[place])
        # A t of the few raters on the variance of independent votes would be wider by a third.
        np.testing.assert_allclose(alone.strengths.high, single.high, rtol=0.01)
        np.testing.assert_allclose(pooled.categories.high[place], single.high, rtol=0.01)
        one = difference_intervals(precision, simultaneous=True)
        apart = ~np.eye(4, dtype=bool)
        assert ((joint.high - joint.low)[place][apart] < 1.5 * (one.high - one.low)[apart]).all()


def test_repeated_judgements_make_gaps_between_criteria_surer_and_composites_less_sure() -> None:
    found = stacked(three_criteria(agree=0.9))
    apart = np.sqrt(found.precisions[0].standard_errors ** 2 + found.precisions[1].standard_errors ** 2)
    gaps, both = criterion_gaps(found, 0, 1), composite(found, np.array([0.5, 0.5, 0.0]))
    t = (strength_intervals(found.precisions[0]).high - found.precisions[0].fit.strengths) / (
        found.precisions[0].standard_errors
    )
    assert ((gaps.high - gaps.low) / 2 < 0.6 * t * apart).all()
    assert ((both.strengths.high - both.strengths.low) / 2 > 1.2 * t * apart / 2).all()


def test_simultaneous_intervals_over_criteria_are_wider_than_those_of_one() -> None:
    found = stacked(three_criteria())
    every = simultaneous_differences(found)
    for place, precision in enumerate(found.precisions):
        one = difference_intervals(precision, simultaneous=True)
        np.testing.assert_allclose(every.estimate[place], one.estimate)
        assert (every.low[place] < one.low)[~np.eye(4, dtype=bool)].all()
        assert ((every.high - every.low)[place] < 1.6 * (one.high - one.low))[~np.eye(4, dtype=bool)].all()


def test_draws_have_the_covariance_of_the_stack() -> None:
    found = stacked(three_criteria())
    draws = found.draw(40_000, np.random.default_rng(0))
    assert draws.shape == (40_000, 4, 3)
    flat = draws.transpose(0, 2, 1).reshape(len(draws), -1)
    np.testing.assert_allclose(np.cov(flat.T), found.covariance, atol=0.03 * found.covariance.max())
    np.testing.assert_allclose(flat.mean(axis=0), found.strengths.ravel(), atol=0.01)


def test_gaps_between_criteria_cover_zero_when_there_is_none() -> None:
    covered = []
    for seed in range(100):
        one, other, _ = three_criteria(seed, votes=1200, agree=0.5)
        # Each rater's two criteria are exchanged by a coin, so that in truth they are alike.
        swapped = np.random.default_rng(seed).integers(2, size=40)[one.rater] == 1
        votes = [
            replace(one, outcome=np.where(swapped, other.outcome, one.outcome)),
            replace(one, outcome=np.where(swapped, one.outcome, other.outcome)),
        ]
        gaps = criterion_gaps(stacked(votes), 0, 1)
        covered.append((gaps.low < 0) & (gaps.high > 0))
    assert 0.9 <= np.mean(covered) <= 0.99


def test_criteria_that_cannot_be_stacked_are_refused() -> None:
    votes = three_criteria()
    independent = estimate_precision(fit_model(tally(votes[0])))
    with pytest.raises(ValueError, match="clustered by the same"):
        stack([independent], votes[:1])
    with pytest.raises(ValueError, match="clustered by the same"):
        stack([precise(votes[0], ("rater",)), precise(votes[1], ("prompt",))], votes[:2])
    with pytest.raises(ValueError, match="one precision and its votes"):
        stack([], [])
    with pytest.raises(ValueError, match="sum to 1"):
        composite(stacked(votes), np.array([1.0, 1.0, 0.0]))

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from arena.ranking.categories import interaction, macro_average, pool
from arena.ranking.intervals import strength_intervals
from arena.ranking.models import fit_model
from arena.ranking.precision import estimate_precision
from arena.ranking.stacked import Stacked, stack
from arena.ranking.tallies import LEFT, RIGHT, Votes, tally
from tests.arena.ranking.worlds import simulate_votes, some_votes

Floats = NDArray[np.float64]
TRUE = np.array([0.8, 0.2, -0.3, -0.7])


def categories(
    rng: np.random.Generator, *, number: int = 5, spread: float = 0.0, votes: int = 800, taste: float = 0.4
) -> tuple[Stacked, Floats]:
    """Categories judged by the same raters, and their true strengths (C, K)."""
    shifts = spread * rng.standard_normal((number, 4))
    true = TRUE + shifts - shifts.mean(axis=1, keepdims=True)
    drawn = [simulate_votes(rng, own, votes=votes, raters=40, rater_taste=taste, ties=0.0) for own in true]
    return stacked(drawn), true


def stacked(votes: list[Votes]) -> Stacked:
    return stack([estimate_precision(fit_model(tally(own)), own, by=("rater",)) for own in votes], votes)


def test_no_spread_pools_all_and_endless_spread_leaves_each_its_own() -> None:
    found, _ = categories(np.random.default_rng(0), spread=0.5)
    together, apart = pool(found, spread=0.0), pool(found, spread=np.inf)

    np.testing.assert_allclose(together.categories.estimate, np.tile(together.overall.estimate, (5, 1)), atol=1e-12)
    np.testing.assert_allclose(apart.categories.estimate, found.strengths, atol=1e-6)
    for place, precision in enumerate(found.precisions):
        own = strength_intervals(precision)
        width = apart.categories.high[place] - apart.categories.low[place]
        # Student's t has the fewest clusters of all categories.
        np.testing.assert_allclose(width, own.high - own.low, rtol=0.002)
    np.testing.assert_allclose(apart.overall.estimate, macro_average(found).strengths.estimate, atol=1e-6)


def test_pooling_identical_categories_changes_nothing() -> None:
    votes = simulate_votes(np.random.default_rng(1), TRUE, votes=800, raters=40, rater_taste=0.4)
    found = pool(stacked([votes, votes, votes]))
    single = strength_intervals(estimate_precision(fit_model(tally(votes)), votes, by=("rater",)))
    assert found.spread == 0
    np.testing.assert_allclose(found.overall.estimate, single.estimate, atol=1e-9)
    np.testing.assert_allclose(found.overall.high, single.high, rtol=1e-6)


@pytest.mark.parametrize("spread", [0.0, 0.3, 0.8])
def test_spread_is_found(spread: float) -> None:
    every = [pool(categories(np.random.default_rng(seed), number=8, spread=spread)[0]).spread for seed in range(12)]
    assert np.sqrt(np.mean(np.square(every))) == pytest.approx(spread, abs=0.13)


def test_partial_pooling_is_nearer_the_truth_than_either_extreme_and_its_intervals_hold() -> None:
    misses: dict[str, list[float]] = {"partial": [], "together": [], "apart": []}
    covered = []
    for seed in range(40):
        found, true = categories(np.random.default_rng(seed), spread=0.35, votes=200)
        partial = pool(found)
        for name, some in (
            ("partial", partial),
            ("together", pool(found, spread=0)),
            ("apart", pool(found, spread=9e9)),
        ):
            misses[name].append(float(np.square(some.categories.estimate - true).mean()))
        covered.append((partial.categories.low < true) & (true < partial.categories.high))
    assert np.mean(misses["partial"]) < 0.95 * min(np.mean(misses["together"]), np.mean(misses["apart"]))
    assert 0.91 <= np.mean(covered) <= 0.985


def test_macro_average_does_not_follow_the_votes() -> None:
    # One is better in both categories; the other was shown where everybody loses to the third.
    easy = [(0, 2, LEFT)] * 9 + [(0, 2, RIGHT)] * 1 + [(1, 2, LEFT)] * 80 + [(1, 2, RIGHT)] * 20
    hard = [(0, 2, LEFT)] * 30 + [(0, 2, RIGHT)] * 70 + [(1, 2, LEFT)] * 2 + [(1, 2, RIGHT)] * 8
    boards = []
    for rows in (easy, hard, easy + hard):
        named = [(*row, rater % 5) for rater, row in enumerate(rows)]
        boards.append(some_votes(named, 3))
    by_category = macro_average(stacked(boards[:2])).strengths.estimate
    pooled = fit_model(tally(boards[2])).strengths
    assert by_category[0] > by_category[1]
    assert pooled[0] < pooled[1]
    weighted = macro_average(stacked(boards[:2]), weights=np.array([0.75, 0.25])).strengths.estimate
    np.testing.assert_allclose(weighted, np.array([0.75, 0.25]) @ stacked(boards[:2]).strengths)


def test_interaction_is_found_and_not_more_often_than_stated_where_there_is_none() -> None:
    false = [interaction(categories(np.random.default_rng(seed), votes=300)[0]).p_value < 0.05 for seed in range(80)]
    assert np.mean(false) <= 0.11
    true = interaction(categories(np.random.default_rng(0), spread=0.6)[0])
    assert true.p_value < 1e-4
    assert true.statistic > 3
    assert 1 < true.degrees_of_freedom[0] <= 12


def test_categories_that_do_not_link_all_contenders_are_refused() -> None:
    linked = some_votes([(0, 1, LEFT, r) for r in range(4)] + [(1, 0, LEFT, r) for r in range(4)], 2)
    alone = some_votes([(0, 1, LEFT, 1), (1, 0, LEFT, 2)], 3)
    with pytest.raises(ValueError, match="does not link"):
        pool(stacked([alone]))
    with pytest.raises(ValueError, match="two or more"):
        interaction(stacked([linked]))

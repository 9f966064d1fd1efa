from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from arena.ranking.elo import elo, from_elo, to_elo
from arena.ranking.tallies import BOTH_BAD, LEFT, RIGHT, TIE
from tests.arena.ranking.worlds import simulate_votes, some_votes


def test_one_vote_between_equals_moves_half_a_step() -> None:
    found = elo(some_votes([(0, 1, LEFT)], 3), rng=np.random.default_rng(0))
    np.testing.assert_allclose(found.mean, [1000.5, 999.5, 1000])
    np.testing.assert_allclose(found.spread, 0)
    tied = elo(some_votes([(0, 1, TIE), (1, 0, BOTH_BAD)], 2), rng=np.random.default_rng(0))
    np.testing.assert_allclose(tied.mean, 1000)


def test_mean_over_shuffles_is_that_over_all_orders() -> None:
    rows = [(0, 1, LEFT), (1, 2, LEFT), (0, 2, RIGHT), (1, 0, TIE)]
    points = {LEFT: 1.0, TIE: 0.5, RIGHT: 0.0}
    every = []
    for order in permutations(rows):
        ratings = [1000.0] * 3
        for left, right, outcome in order:
            change = 50 * (points[outcome] - 1 / (1 + 10 ** ((ratings[right] - ratings[left]) / 400)))
            ratings[left] += change
            ratings[right] -= change
        every.append(ratings)
    found = elo(some_votes(rows, 3), rng=np.random.default_rng(1), step=50, shuffles=20_000)
    np.testing.assert_allclose(found.mean, np.mean(every, axis=0), atol=0.05)
    np.testing.assert_allclose(found.spread, np.std(every, axis=0), atol=0.05)


def test_ratings_order_contenders_as_their_strengths_do_and_keep_their_sum() -> None:
    votes = simulate_votes(np.random.default_rng(2), np.array([1.0, 0.3, -0.3, -1.0]), votes=2000)
    found = elo(votes, rng=np.random.default_rng(3), shuffles=50)
    assert (np.diff(found.mean) < 0).all()
    assert found.mean.sum() == pytest.approx(4000)


def test_four_hundred_points_are_odds_of_ten_to_one() -> None:
    strengths = np.array([np.log(10), 0.0])
    np.testing.assert_allclose(to_elo(strengths), [1400, 1000])
    np.testing.assert_allclose(from_elo(to_elo(strengths)), strengths)


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="one shuffle"):
        elo(some_votes([(0, 1, LEFT)], 2), rng=np.random.default_rng(0), shuffles=0)

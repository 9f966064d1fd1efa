from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from arena.ranking.design import choose_balanced, choose_uniform


def test_balanced_choice_takes_only_the_least_shown_and_says_how_likely_each_was() -> None:
    rng = np.random.default_rng(0)
    counts = np.array([3, 1, 2, 1, 1])
    chosen = [choose_balanced(counts, rng) for _ in range(3000)]

    assert {choice.probability for choice in chosen} == {1 / 3}
    times = Counter(choice.candidate for choice in chosen)
    assert set(times) == {1, 3, 4}
    assert min(times.values()) > 900


def test_balanced_choice_shows_every_candidate_equally_often_in_the_long_run() -> None:
    rng = np.random.default_rng(0)
    counts = np.zeros(7, dtype=np.int64)
    for _ in range(7 * 5):
        counts[choose_balanced(counts, rng).candidate] += 1

    np.testing.assert_array_equal(counts, np.full(7, 5))


def test_a_single_least_shown_candidate_is_certain() -> None:
    assert choose_balanced(np.array([2, 0, 1]), np.random.default_rng(0)) == (1, 1.0)


def test_uniform_choice_reaches_every_candidate_alike() -> None:
    rng = np.random.default_rng(0)
    chosen = [choose_uniform(4, rng) for _ in range(4000)]

    assert {choice.probability for choice in chosen} == {0.25}
    assert min(Counter(choice.candidate for choice in chosen).values()) > 900


def test_choosing_from_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no candidate"):
        choose_balanced(np.array([], dtype=np.int64), np.random.default_rng(0))
    with pytest.raises(ValueError, match="no candidate"):
        choose_uniform(0, np.random.default_rng(0))

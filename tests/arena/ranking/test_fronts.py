from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from arena.ranking.fronts import average_front, dominates, fronts, stability

# CLIP score and FID on ImageNet (Scaling Rectified Flow Transformers, arXiv 2403.03206, Table 2); front by hand.
TABLE_2 = {
    "rf": (0.247, 49.70, 3),
    "edm(-1.2,1.2)": (0.236, 63.12, 5),
    "eps/linear": (0.245, 48.42, 3),
    "v/cos": (0.244, 50.74, 4),
    "v/linear": (0.246, 51.68, 4),
    "rf/lognorm(.5,.6)": (0.256, 80.41, 1),
    "rf/mode(1.75)": (0.253, 44.39, 1),
    "rf/lognorm(1,.6)": (0.254, 114.26, 2),
    "rf/lognorm(-.5,1)": (0.248, 45.64, 2),
    "rf/lognorm(0,1)": (0.250, 45.78, 2),
}
SCORES = np.array([(clip, -fid) for clip, fid, _ in TABLE_2.values()])


def test_fronts_of_the_published_table() -> None:
    assert dict(zip(TABLE_2, fronts(SCORES).tolist(), strict=True)) == {
        name: front for name, (_, _, front) in TABLE_2.items()
    }


@settings(deadline=None, derandomize=True, database=None)
@given(arrays(np.float64, (7, 3), elements=st.integers(0, 4).map(float)), st.permutations(range(7)))
def test_fronts_follow_their_definition_whatever_the_order(scores: np.ndarray, order: list[int]) -> None:
    found, above = fronts(scores), dominates(scores)
    np.testing.assert_array_equal(fronts(scores[order]), found[order])
    for contender in range(7):
        dominators = found[above[:, contender]]
        # One more than the deepest of those that dominate it.
        assert found[contender] == 1 + max(dominators, default=0)


def test_equal_contenders_share_a_front() -> None:
    np.testing.assert_array_equal(fronts(np.array([[1.0, 1], [1, 1], [0, 1]])), [1, 1, 2])


def test_one_criterion_gives_the_ranks() -> None:
    np.testing.assert_array_equal(fronts(np.array([[0.1], [0.9], [0.5]])), [3, 1, 2])


def test_average_is_over_the_settings_a_contender_is_in() -> None:
    settings = np.array([[[1.0, 1], [2, 2], [0, 0]], [[3.0, 3], [2, 2], [np.nan, 1]]])
    np.testing.assert_allclose(average_front(settings), [1.5, 1.5, 3])
    assert np.isnan(average_front(np.full((1, 1, 2), np.nan)))[0]


def test_stability_is_certain_without_noise_and_even_between_twins() -> None:
    still = stability(np.repeat(SCORES[None], 5, axis=0))
    np.testing.assert_allclose(still.mean, fronts(SCORES))
    np.testing.assert_allclose(still.first, fronts(SCORES) == 1)

    rng = np.random.default_rng(0)
    twins = np.array([[1.0], [1.0], [-9.0]]) + 0.1 * rng.standard_normal((4000, 3, 1))
    shaky = stability(twins)
    np.testing.assert_allclose(shaky.first, [0.5, 0.5, 0], atol=0.03)
    np.testing.assert_allclose(shaky.shares.sum(axis=1), 1)
    with pytest.raises(ValueError, match="at least one"):
        stability(twins[:0])

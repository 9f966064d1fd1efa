from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from arena.ranking.fitted import ModelFit, Ties
from arena.ranking.intervals import difference_intervals, rank_ranges
from arena.ranking.models import fit_model
from arena.ranking.precision import estimate_precision
from arena.ranking.profiles import profile_interval
from arena.ranking.tallies import tally
from tests.arena.ranking.tables import tallies_of
from tests.arena.ranking.worlds import simulate_votes

Floats = NDArray[np.float64]
Rows = list[tuple[int, int, int, int, int]]
# (left, right, wins of left, ties, wins of right) of small studies whose profiles once did not settle.
FOUR: Rows = [
    (0, 1, 3, 0, 0),
    (0, 3, 4, 0, 0),
    (1, 0, 0, 0, 1),
    (1, 2, 2, 0, 0),
    (1, 3, 3, 0, 1),
    (2, 0, 0, 0, 4),
    (2, 1, 1, 0, 0),
    (2, 3, 1, 0, 0),
    (3, 0, 0, 0, 2),
    (3, 2, 0, 0, 2),
]
EIGHT: Rows = [
    (0, 1, 0, 0, 3),
    (0, 2, 2, 0, 1),
    (0, 3, 2, 0, 1),
    (0, 4, 3, 0, 0),
    (0, 5, 4, 0, 0),
    (0, 7, 1, 0, 0),
    (1, 0, 0, 0, 4),
    (1, 2, 1, 0, 0),
    (1, 3, 2, 0, 2),
    (1, 4, 3, 0, 0),
    (1, 5, 1, 0, 0),
    (1, 6, 2, 0, 0),
    (1, 7, 1, 0, 0),
    (2, 0, 1, 0, 1),
    (2, 1, 2, 0, 0),
    (2, 3, 0, 0, 1),
    (2, 4, 1, 0, 1),
    (2, 5, 3, 0, 0),
    (2, 6, 1, 0, 2),
    (2, 7, 3, 0, 0),
    (3, 1, 0, 0, 1),
    (3, 2, 0, 0, 2),
    (3, 4, 1, 0, 1),
    (3, 5, 2, 0, 0),
    (3, 6, 2, 0, 0),
    (3, 7, 1, 0, 0),
    (4, 0, 0, 0, 2),
    (4, 1, 1, 0, 2),
    (4, 2, 0, 0, 1),
    (4, 3, 1, 0, 1),
    (4, 5, 3, 0, 2),
    (4, 6, 2, 0, 0),
    (4, 7, 1, 0, 0),
    (5, 0, 0, 0, 2),
    (5, 1, 1, 0, 2),
    (5, 2, 1, 0, 1),
    (5, 6, 0, 1, 0),
    (5, 7, 2, 0, 0),
    (6, 0, 0, 0, 5),
    (6, 1, 1, 1, 1),
    (6, 2, 1, 0, 0),
    (6, 3, 1, 0, 0),
    (6, 4, 2, 0, 1),
    (6, 5, 0, 0, 1),
    (6, 7, 2, 0, 0),
    (7, 0, 0, 0, 4),
    (7, 1, 0, 0, 3),
    (7, 2, 0, 0, 2),
    (7, 3, 0, 0, 3),
    (7, 4, 0, 0, 3),
    (7, 5, 0, 0, 3),
    (7, 6, 0, 0, 1),
]


def first_against_last(fit: ModelFit) -> Floats:
    contrast = np.zeros(len(fit.centring))
    contrast[0], contrast[fit.contenders - 1] = 1, -1
    return contrast


def test_ends_lie_where_the_penalised_likelihood_has_fallen_by_half_the_square_of_the_reach() -> None:
    fit = fit_model(tallies_of([(0, 1, 5, 0, 0)]), side_bias=False)
    ends = profile_interval(fit, np.array([1.0, -1.0]), reach=2.0)

    def penalised(gap: Floats) -> Floats:
        value: Floats = 5.5 * np.log(expit(gap)) + 0.5 * np.log(expit(-gap))
        return value

    np.testing.assert_allclose(penalised(np.log(11)) - penalised(np.array(ends)), 2.0, atol=1e-4)


@pytest.mark.parametrize("rows", [FOUR, EIGHT])
def test_wider_reaches_contain_narrower_ones_and_an_end_out_of_sight_is_infinite(rows: Rows) -> None:
    fit = fit_model(tallies_of(rows))
    ends = [profile_interval(fit, first_against_last(fit), reach=reach) for reach in (1, 2, 4, 6, 10)]

    for (low, high), (lower, higher) in zip(ends, ends[1:], strict=False):
        assert lower < low
        assert higher >= high
    assert np.isfinite(ends[2]).all()
    assert ends[-1][1] == np.inf
    assert profile_interval(fit, first_against_last(fit), reach=40) == (-np.inf, np.inf)


@pytest.mark.parametrize("ties", ["half", "davidson", "rao-kupper"])
def test_the_smallest_studies_have_intervals_without_a_failure(ties: Ties) -> None:
    penalised = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        strengths = np.array([2.0, 0.5, -0.5, -2.0])
        votes = simulate_votes(rng, strengths, votes=12 + 2 * seed, raters=4, prompts=6, ties=0.1)
        fit = fit_model(tally(votes), ties=ties)
        penalised += fit.estimator == "firth"
        precision = estimate_precision(fit, votes)
        joint = difference_intervals(precision, simultaneous=True)
        inside = ~np.isnan(joint.low)
        assert (joint.low[inside] < joint.estimate[inside]).all()
        assert (joint.high[inside] > joint.estimate[inside]).all()
        ranks = rank_ranges(precision)
        assert (ranks.best <= ranks.worst).all()
    assert penalised >= 3

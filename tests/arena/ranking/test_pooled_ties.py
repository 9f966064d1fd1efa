"""Ties over several studies: against the likelihood written out by hand, and against the fit of one study."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize

from arena.ranking import intervals
from arena.ranking.models import fit_tie_models
from arena.ranking.pooled import Stratum, pool_ties, together
from arena.ranking.precision import estimate_precision
from arena.ranking.tallies import LEFT, RIGHT, TIE, tally
from tests.arena.ranking.test_pooled import TRUE, study, three_studies

Floats = NDArray[np.float64]


def with_ties(strata: list[Stratum], share: float) -> list[Stratum]:
    rng = np.random.default_rng(8)

    def tied(stratum: Stratum) -> Stratum:
        votes = stratum.votes
        outcome = np.where(rng.random(len(votes)) < share, TIE, votes.outcome)
        return replace(stratum, votes=replace(votes, outcome=outcome))

    return [tied(stratum) for stratum in strata]


def log_likelihood(strata: list[Stratum], parameters: Floats) -> float:
    """Davidson's, of strengths but the first, a side bias for each study, and log nu."""
    strengths, sides, level = np.r_[0.0, parameters[:5]], parameters[5:-1], parameters[-1]
    total = 0.0
    for stratum, side in zip(strata, sides, strict=True):
        votes = stratum.votes
        gaps = strengths[votes.left] - strengths[votes.right] + side
        parts = {LEFT: gaps / 2, TIE: np.full(len(votes), level), RIGHT: -gaps / 2}
        chosen = np.select([votes.outcome == outcome for outcome in parts], list(parts.values()))
        total += float((chosen - np.logaddexp.reduce(list(parts.values()), axis=0)).sum())
    return total


def test_strengths_and_the_tie_parameter_are_where_the_likelihood_is_greatest() -> None:
    strata = with_ties(three_studies(), 0.2)
    found = pool_ties(strata)
    assert found is not None and found.model == "davidson"
    best = minimize(lambda parameters: -log_likelihood(strata, parameters), np.zeros(9), method="BFGS")
    strengths = np.r_[0.0, best.x[:5]]
    assert found.log_likelihoods["davidson"] == pytest.approx(-best.fun, abs=1e-6)
    assert found.precision.fit.strengths == pytest.approx(strengths - strengths.mean(), abs=1e-4)
    assert found.precision.fit.tie_parameter == pytest.approx(np.exp(best.x[-1]), abs=1e-4)
    # Were votes independent, the errors would be those of the inverse curvature.
    independent = found.precision.floors[-1]
    gap = independent[1, 1] + independent[0, 0] - 2 * independent[0, 1]
    curvature = _curvature(strata, best.x)
    assert [gap, independent[-1, -1]] == pytest.approx(np.diagonal(np.linalg.inv(curvature))[[0, -1]], rel=1e-3)


def _curvature(strata: list[Stratum], at: Floats) -> Floats:
    step, units = 1e-4, np.eye(len(at))

    def slope(where: Floats) -> Floats:
        ends = [[log_likelihood(strata, where + sign * step * unit) for sign in (1, -1)] for unit in units]
        return np.array([(above - below) / (2 * step) for above, below in ends])

    return np.array([(slope(at - step * unit) - slope(at + step * unit)) / (2 * step) for unit in units])


def test_one_study_alone_has_the_chances_of_its_own_fit() -> None:
    (only,) = with_ties(three_studies()[:1], 0.3)
    found = pool_ties([only])
    assert found is not None
    own = fit_tie_models(tally(only.votes))
    assert found.log_likelihoods == {name: fit.log_likelihood for name, fit in own.items()}
    alone = intervals.outcome_probability_intervals(estimate_precision(own[found.model], only.votes))
    pooled = intervals.outcome_probability_intervals(found.precision)
    for name in ("estimate", "low", "high"):
        np.testing.assert_array_equal(getattr(pooled, name), getattr(alone, name))


def test_chances_add_up_and_mirror() -> None:
    found = pool_ties(with_ties(three_studies(), 0.2))
    assert found is not None
    chances = intervals.outcome_probability_intervals(found.precision)
    apart = ~np.eye(len(TRUE), dtype=bool)
    assert chances.estimate[apart].sum(axis=1) == pytest.approx(1)
    np.testing.assert_allclose(chances.low[apart], chances.low.transpose(1, 0, 2)[apart][:, ::-1], atol=1e-12)
    assert (chances.low[apart] < chances.estimate[apart]).all() and (chances.estimate < chances.high)[apart].all()


def test_where_nobody_tied_there_is_nothing_to_say() -> None:
    strata = [study(number, [0, 1, 2]) for number in (1, 2)]
    said = [each.votes.outcome for each in strata]
    decided = [
        replace(each, votes=replace(each.votes, outcome=np.where(own == TIE, LEFT, own)))
        for each, own in zip(strata, said, strict=True)
    ]
    assert not (together(decided).outcome == TIE).any()
    assert pool_ties(decided) is None and pool_ties([]) is None


def test_who_never_lost_still_has_chances() -> None:
    """Then both models share one side bias, so that their likelihoods can be compared."""
    strata = with_ties([study(1, [0, 1, 2]), study(2, [1, 2, 3])], 0.2)
    first = strata[0].votes
    wins = np.where(first.left == 0, LEFT, np.where(first.right == 0, RIGHT, first.outcome))
    found = pool_ties([replace(strata[0], votes=replace(first, outcome=wins)), strata[1]])
    assert found is not None and found.precision.fit.estimator == "firth"
    chances = found.precision.fit.outcome_probabilities()
    assert 0.9 < chances[0, 1, 0] < 1 and chances[0, 1].sum() == pytest.approx(1)

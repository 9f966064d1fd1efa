from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from arena.ranking.fitted import Ties
from arena.ranking.models import fit_model
from tests.arena.ranking.tables import tallies_of
from tests.arena.ranking.test_models import ALL, close, some_tallies

Floats = NDArray[np.float64]


@pytest.mark.parametrize("ties", ALL)
def test_one_indicator_per_contender_is_the_free_model(ties: Ties) -> None:
    free, dummies = (fit_model(some_tallies(), ties=ties, covariates=x) for x in (None, np.eye(5)))

    close(dummies.strengths, free.strengths, atol=1e-8)
    assert dummies.side_bias == pytest.approx(free.side_bias, abs=1e-9)
    assert dummies.deviance == pytest.approx(free.deviance)
    assert dummies.degrees_of_freedom == free.degrees_of_freedom
    # Only differences of the indicators' coefficients are determined.
    assert np.isnan(dummies.coefficients).all()  # type: ignore[arg-type]


@pytest.mark.parametrize("ties", ALL)
def test_strengths_lie_on_the_covariates(ties: Ties) -> None:
    x = np.column_stack([np.arange(5.0), 100 * np.array([1.0, 0, 0, 1, 1])])
    fit = fit_model(some_tallies(), ties=ties, covariates=x)

    assert fit.coefficients is not None
    line = x @ fit.coefficients
    close(fit.strengths, line - line.mean(), atol=1e-9)
    # Two strength parameters instead of four.
    assert fit.degrees_of_freedom == fit_model(some_tallies(), ties=ties).degrees_of_freedom + 2
    problem = fit.problem
    close(problem.gradient(fit.parameters[:, None])[:, 0], np.zeros(problem.size), atol=1e-7)


def test_covariates_compare_contenders_whom_no_vote_links() -> None:
    rows = [(0, 1, 7, 0, 3), (2, 3, 6, 0, 3)]
    steps = np.array([[1.0], [0.0], [2.0], [1.0], [5.0]])
    fit = fit_model(tallies_of(rows, contenders=5), covariates=steps, side_bias=False)

    assert fit.components.tolist() == [0] * 5
    slope = np.log(13 / 6)
    assert fit.coefficients == pytest.approx([slope])
    assert fit.strengths[4] - fit.strengths[0] == pytest.approx(4 * slope)


def test_covariates_that_tell_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="do not differ between any two contenders that met"):
        fit_model(some_tallies(), covariates=np.ones((5, 1)))
    with pytest.raises(ValueError, match="table of 5 rows"):
        fit_model(some_tallies(), covariates=np.ones((4, 1)))

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from arena.ranking import firth
from arena.ranking.firth import Constraint, Penalised
from arena.ranking.likelihoods import Link
from arena.ranking.models import fit_model, start
from arena.ranking.newton import ConvergenceError, maximise
from arena.ranking.problem import Problem
from arena.ranking.tallies import Tallies
from tests.arena.ranking.tables import CITATIONS, tallies_of
from tests.arena.ranking.test_problem import some_problem

Floats = NDArray[np.float64]
KINDS = [(link, side) for link in ("half", "davidson", "rao-kupper") for side in (True, False)]


def whole(problem: Problem) -> Penalised:
    return Penalised(problem, np.ones(problem.size, dtype=bool))


def test_citations_come_out_as_published_for_bias_reduction() -> None:
    fit = fit_model(tallies_of(CITATIONS), side_bias=False, estimator="firth")

    np.testing.assert_array_equal((fit.strengths - fit.strengths[0]).round(4), [0, -2.9444, -0.4791, 0.2685])
    assert fit.estimator == "firth"


@pytest.mark.parametrize("wins", [1, 5, 100])
def test_a_clean_sweep_is_worth_half_a_loss(wins: int) -> None:
    fit = fit_model(tallies_of([(0, 1, wins, 0, 0)]), side_bias=False)

    # With one parameter Firth's penalty adds half a win and half a loss.
    assert fit.strengths[0] - fit.strengths[1] == pytest.approx(np.log(2 * wins + 1), abs=1e-9)
    assert fit.flags == (("undefeated", "firth"), ("winless", "firth"))


@pytest.mark.parametrize(("link", "side"), KINDS)
@pytest.mark.parametrize("penalised", ["all", "some"])
def test_the_modified_score_is_the_derivative_of_the_penalised_likelihood(
    link: Link, side: bool, penalised: str
) -> None:
    problem = some_problem(link, side, False, sets=1)
    flags = np.ones(problem.size, dtype=bool)
    if penalised == "some":
        # Boards apart: {0, 1, 2} with the penalty, {3, 4} without.
        counts = np.zeros((5, 5, 3))
        counts[:3, :3], counts[3:, 3:] = 4.0, 5.0
        counts[np.arange(5), np.arange(5)] = 0
        problem = Problem.of(counts, link=link, side=side, groups=np.array([0, 0, 0, 1, 1]))
        flags[3:5] = False
    function = Penalised(problem, flags)
    here, step = np.linspace(-0.6, 0.7, problem.size), 1e-6

    numeric = []
    for place in range(problem.size):
        shift = np.zeros(problem.size)
        shift[place] = step
        numeric.append((function.value(here + shift) - function.value(here - shift)) / (2 * step))
    np.testing.assert_allclose(function.modified_score(here), numeric, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("reference", range(4))
def test_the_estimate_is_the_same_whichever_contender_is_the_reference(reference: int) -> None:
    tallies = tallies_of([(0, 1, 4, 1, 0), (1, 2, 3, 0, 2), (2, 3, 1, 2, 1), (0, 3, 2, 0, 0)])
    free = fit_model(tallies, ties="davidson", estimator="firth")
    dummies = np.delete(np.eye(4), reference, axis=1)
    fixed = fit_model(tallies, ties="davidson", estimator="firth", covariates=dummies)

    np.testing.assert_allclose(fixed.strengths, free.strengths, atol=1e-8)
    assert fixed.side_bias == pytest.approx(free.side_bias, abs=1e-8)
    assert fixed.tie_parameter == pytest.approx(free.tie_parameter, abs=1e-8)


@pytest.mark.parametrize(("link", "side"), KINDS)
def test_the_penalty_vanishes_as_votes_grow(link: Link, side: bool) -> None:
    problem = some_problem(link, side, False, sets=1)
    many = problem.with_masses(problem.masses * 1e6)
    likeliest = maximise(many, start(many)[:, None])[:, 0]
    np.testing.assert_allclose(whole(many).maximise(start(many)), likeliest, atol=1e-6)


def test_a_constraint_is_met_and_lies_below_the_maximum() -> None:
    problem = some_problem("rao-kupper", True, False, sets=1)
    function = whole(problem)
    best = function.maximise(start(problem))
    direction = np.zeros(problem.size)
    direction[0], direction[1] = 1, -1
    there = function.maximise(best, within=Constraint(direction, float(direction @ best) + 0.5))

    assert direction @ there == pytest.approx(direction @ best + 0.5)
    assert function.value(there) < function.value(best)
    # Nothing but the direction itself can still be gained.
    score = function.modified_score(there)
    np.testing.assert_allclose(score, direction * (score @ direction) / (direction @ direction), atol=1e-5)


def test_an_unfinished_fit_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firth, "_STEPS", 2)
    with pytest.raises(ConvergenceError, match="did not settle in 2 steps"):
        fit_model(tallies_of(CITATIONS), estimator="firth")


@pytest.mark.parametrize("link", ["half", "davidson", "rao-kupper"])
def test_the_smallest_and_thinnest_tables_settle(link: Link) -> None:
    rng = np.random.default_rng(0)
    for _ in range(60):
        contenders = int(rng.integers(2, 6))
        counts = rng.poisson(rng.choice([0.1, 0.5, 2.0]), size=(contenders, contenders, 4))
        counts[np.arange(contenders), np.arange(contenders)] = 0
        fit = fit_model(Tallies(counts), ties=link, estimator="firth")
        assert np.isfinite(fit.parameters).all()
        assert fit.slope < 1e-9

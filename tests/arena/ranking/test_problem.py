from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from arena.ranking.likelihoods import Link
from arena.ranking.newton import maximise, maximise_near
from arena.ranking.problem import Problem

Floats = NDArray[np.float64]

KINDS = [
    (link, side, with_basis)
    for link in ("half", "davidson", "rao-kupper")
    for side in (True, False)
    for with_basis in (True, False)
]


def some_problem(link: Link, side: bool, with_basis: bool, sets: int = 2) -> Problem:
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 30, size=(5, 5, 3)).astype(float)
    counts[np.arange(5), np.arange(5)] = 0
    basis = rng.normal(size=(5, 2)) if with_basis else None
    groups = np.zeros(5, dtype=np.intp)
    problem = Problem.of(counts, link=link, side=side, groups=groups, basis=basis)
    return problem.with_masses(problem.masses * rng.gamma(5, 0.2, size=(*problem.masses.shape[:2], sets)))


def somewhere(problem: Problem) -> Floats:
    parameters = np.random.default_rng(1).normal(scale=0.5, size=(problem.size, problem.n_sets))
    if problem.has_ties:
        parameters[-1] = [0.4, 0.9]
    return parameters


@pytest.mark.parametrize(("link", "side", "with_basis"), KINDS)
def test_the_gradient_agrees_with_finite_differences(link: Link, side: bool, with_basis: bool) -> None:
    problem = some_problem(link, side, with_basis)
    here, step = somewhere(problem), 1e-6

    numeric = np.empty_like(here)
    for place in range(problem.size):
        shift = np.zeros((problem.size, 1))
        shift[place] = step
        up, down = (problem.log_likelihood(here + sign * shift) for sign in (1, -1))
        numeric[place] = (up - down) / (2 * step)
    np.testing.assert_allclose(problem.gradient(here), numeric, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize(("link", "side", "with_basis"), KINDS)
def test_information_is_the_negative_derivative_of_the_gradient(link: Link, side: bool, with_basis: bool) -> None:
    problem = some_problem(link, side, with_basis)
    here, step = somewhere(problem), 1e-6

    numeric = np.empty((2, problem.size, problem.size))
    for place in range(problem.size):
        shift = np.zeros((problem.size, 1))
        shift[place] = step
        up, down = (problem.gradient(here + sign * shift) for sign in (1, -1))
        numeric[:, :, place] = -(up - down).T / (2 * step)
    np.testing.assert_allclose(problem.information(here), numeric, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize(("link", "side", "with_basis"), KINDS)
def test_the_maximum_is_flat_and_the_chord_finds_the_same_one(link: Link, side: bool, with_basis: bool) -> None:
    problem = some_problem(link, side, with_basis)
    start = np.zeros((problem.size, 2))
    start[-1] += 0.5 * problem.has_ties
    best = maximise(problem, start)

    np.testing.assert_allclose(problem.gradient(best), np.zeros_like(best), atol=1e-10)
    first = problem.select(np.array([0]))
    np.testing.assert_allclose(maximise_near(problem, first, best[:, 0]), best, atol=1e-9)


@pytest.mark.parametrize("link", ["half", "davidson", "rao-kupper"])
def test_newton_arrives_from_far_away(link: Link) -> None:
    problem = some_problem(link, True, False, sets=1)
    near, far = np.zeros((problem.size, 1)), np.zeros((problem.size, 1))
    near[-1] += 0.5 * problem.has_ties
    far[:5, 0] = [12, -12, 5, 0, -5]
    far[-1] += 3 * problem.has_ties

    np.testing.assert_allclose(maximise(problem, far), maximise(problem, near), atol=1e-10)


def test_without_a_side_bias_both_orders_of_a_pair_are_one() -> None:
    counts = np.zeros((2, 2, 3))
    counts[0, 1], counts[1, 0] = [5, 1, 2], [3, 4, 7]
    problem = Problem.of(counts, link="davidson", side=False, groups=np.zeros(2, dtype=np.intp))

    assert (problem.left.tolist(), problem.right.tolist()) == ([0], [1])
    np.testing.assert_array_equal(problem.masses[:, 0, 0], [12, 5, 5])


def test_half_wins_are_split_between_the_sides() -> None:
    counts = np.zeros((2, 2, 3))
    counts[1, 0] = [3, 4, 7]
    problem = Problem.of(counts, link="half", side=True, groups=np.zeros(2, dtype=np.intp))

    assert (problem.left.tolist(), problem.right.tolist()) == ([1], [0])
    np.testing.assert_array_equal(problem.masses[:, 0, 0], [5, 0, 9])

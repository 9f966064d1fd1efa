from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from arena.ranking.newton import ConvergenceError, maximise, maximise_near
from arena.ranking.problem import Problem

Floats = NDArray[np.float64]


def half_wins(seed: int, contenders: int = 5) -> Floats:
    matrix = np.random.default_rng(seed).integers(1, 40, size=(contenders, contenders)) / 2
    np.fill_diagonal(matrix, 0)
    return matrix


def problem_of(*matrices: Floats) -> Problem:
    """Half-win results, one data set for each matrix (K, K), over the pairs of the first."""
    first, second = np.nonzero(np.triu(matrices[0] + matrices[0].T, 1))
    wins, losses = (
        np.stack([matrix[places] for matrix in matrices], axis=1) for places in ((first, second), (second, first))
    )
    masses = np.stack([wins, np.zeros_like(wins), losses])
    groups = np.zeros(len(matrices[0]), dtype=np.intp)
    return Problem("half", len(matrices[0]), first, second, masses, side=False, groups=groups)


def test_data_sets_are_solved_independently_of_their_company() -> None:
    matrices = [half_wins(seed) for seed in range(6)]
    together = maximise(problem_of(*matrices), np.zeros((5, 6)))

    alone = [maximise(problem_of(matrix), np.zeros((5, 1)))[:, 0] for matrix in matrices]
    np.testing.assert_allclose(together.T, alone, rtol=0, atol=1e-12)


def test_newton_arrives_from_far_away() -> None:
    results = problem_of(half_wins(0))
    far = np.array([[30.0], [-30.0], [5.0], [0.0], [-5.0]])

    np.testing.assert_allclose(maximise(results, far), maximise(results, np.zeros((5, 1))), rtol=0, atol=1e-12)


def test_the_chord_finds_the_same_maxima_as_newton() -> None:
    base = half_wins(0)
    rng = np.random.default_rng(1)
    # Spread over five powers of ten: some contract under the chord and some have to be handed to Newton.
    weights = [rng.gamma(shape, size=base.shape) for shape in (0.05, 0.3, 1, 5, 50) for _ in range(20)]
    results = problem_of(*(base * weight for weight in weights))
    at = maximise(problem_of(base), np.zeros((5, 1)))[:, 0]

    near = maximise_near(results, problem_of(base), at)
    np.testing.assert_allclose(near, maximise(results, np.zeros((5, 100))), rtol=0, atol=1e-8)


def test_scaled_data_have_the_same_maximum() -> None:
    base = half_wins(0)
    at = maximise(problem_of(base), np.zeros((5, 1)))[:, 0]

    near = maximise_near(problem_of(base * 1e-6, base * 1e6), problem_of(base), at)
    np.testing.assert_allclose(near.T, [at, at], rtol=0, atol=1e-12)


def test_no_maximum_is_an_error_and_not_a_number() -> None:
    undefeated = np.array([[0.0, 3.0], [0.0, 0.0]])
    with pytest.raises(ConvergenceError, match="did not converge"):
        maximise(problem_of(undefeated), np.zeros((2, 1)))


def test_contenders_without_votes_are_an_error() -> None:
    with pytest.raises(ConvergenceError, match="flat likelihood"):
        maximise(problem_of(np.zeros((2, 2))), np.zeros((2, 1)))

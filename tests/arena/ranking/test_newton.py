from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from arena.ranking import newton
from arena.ranking.newton import ConvergenceError, PairResults, maximise, maximise_near

Floats = NDArray[np.float64]


def half_wins(seed: int, contenders: int = 5) -> Floats:
    matrix = np.random.default_rng(seed).integers(1, 40, size=(contenders, contenders)) / 2
    np.fill_diagonal(matrix, 0)
    return matrix


def several(matrices: list[Floats]) -> PairResults:
    each = [PairResults.of(matrix) for matrix in matrices]
    first = each[0]
    return PairResults(
        first.contenders,
        first.first,
        first.second,
        np.concatenate([one.wins for one in each], axis=1),
        np.concatenate([one.losses for one in each], axis=1),
    )


def test_gradient_agrees_with_finite_differences() -> None:
    results = several([half_wins(0), half_wins(1)])
    strengths = np.random.default_rng(2).normal(size=(5, 2))
    step = 1e-6

    numeric = np.empty((5, 2))
    for contender in range(5):
        shift = np.zeros((5, 1))
        shift[contender] = step
        up, down = (newton.log_likelihood(strengths + sign * shift, results) for sign in (1, -1))
        numeric[contender] = (up - down) / (2 * step)
    np.testing.assert_allclose(newton.gradient(strengths, results), numeric, rtol=1e-6, atol=1e-6)


def test_information_is_the_negative_derivative_of_the_gradient() -> None:
    results = several([half_wins(0), half_wins(1)])
    strengths = np.random.default_rng(2).normal(size=(5, 2))
    step = 1e-6

    numeric = np.empty((2, 5, 5))
    for contender in range(5):
        shift = np.zeros((5, 1))
        shift[contender] = step
        up, down = (newton.gradient(strengths + sign * shift, results) for sign in (1, -1))
        numeric[:, :, contender] = -(up - down).T / (2 * step)
    np.testing.assert_allclose(newton.information(strengths, results), numeric, rtol=1e-6, atol=1e-6)


def test_data_sets_are_solved_independently_of_their_company() -> None:
    matrices = [half_wins(seed) for seed in range(6)]
    together = maximise(several(matrices), np.zeros((5, 6)))

    alone = [maximise(PairResults.of(matrix), np.zeros((5, 1)))[:, 0] for matrix in matrices]
    np.testing.assert_allclose(together.T, alone, rtol=0, atol=1e-12)


def test_newton_arrives_from_far_away() -> None:
    results = PairResults.of(half_wins(0))
    far = np.array([[30.0], [-30.0], [5.0], [0.0], [-5.0]])

    np.testing.assert_allclose(maximise(results, far), maximise(results, np.zeros((5, 1))), rtol=0, atol=1e-12)


def test_the_chord_finds_the_same_maxima_as_newton() -> None:
    base = half_wins(0)
    rng = np.random.default_rng(1)
    # Spread over five powers of ten: some contract under the chord and some have to be handed to Newton.
    weights = [rng.gamma(shape, size=base.shape) for shape in (0.05, 0.3, 1, 5, 50) for _ in range(20)]
    results = several([base * weight for weight in weights])
    at = maximise(PairResults.of(base), np.zeros((5, 1)))[:, 0]

    near = maximise_near(results, PairResults.of(base), at)
    np.testing.assert_allclose(near, maximise(results, np.zeros((5, 100))), rtol=0, atol=1e-8)


def test_scaled_data_have_the_same_maximum() -> None:
    base = half_wins(0)
    at = maximise(PairResults.of(base), np.zeros((5, 1)))[:, 0]

    near = maximise_near(several([base * 1e-6, base * 1e6]), PairResults.of(base), at)
    np.testing.assert_allclose(near.T, [at, at], rtol=0, atol=1e-12)


def test_no_maximum_is_an_error_and_not_a_number() -> None:
    undefeated = np.array([[0.0, 3.0], [0.0, 0.0]])
    with pytest.raises(ConvergenceError, match="did not converge"):
        maximise(PairResults.of(undefeated), np.zeros((2, 1)))


def test_contenders_without_votes_are_an_error() -> None:
    with pytest.raises(ConvergenceError, match="flat likelihood"):
        maximise(PairResults.of(np.zeros((2, 2))), np.zeros((2, 1)))

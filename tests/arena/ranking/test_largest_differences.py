from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import studentized_range
from scipy.stats import t as student

from arena.ranking.largest_differences import largest_differences, root


def everybody(contenders: int) -> np.ndarray:
    return ~np.eye(contenders, dtype=bool)


@pytest.mark.parametrize("contenders", [3, 8, 60])
def test_equal_contenders_with_known_errors_have_the_studentised_range(contenders: int) -> None:
    largest = largest_differences(np.eye(contenders), everybody(contenders))

    expected = studentized_range.ppf([0.5, 0.95], contenders, np.inf) / np.sqrt(2)
    np.testing.assert_allclose(np.quantile(largest, [0.5, 0.95]), expected, rtol=0.02)


@pytest.mark.parametrize("degrees_of_freedom", [3.0, 7.5, 40.0])
def test_one_difference_with_estimated_errors_is_students_t(degrees_of_freedom: float) -> None:
    largest = largest_differences(np.eye(2), everybody(2), degrees_of_freedom=degrees_of_freedom)

    expected = student.ppf([0.75, 0.95], degrees_of_freedom)
    np.testing.assert_allclose(np.quantile(largest, [0.5, 0.9]), expected, rtol=0.04)


@pytest.mark.parametrize("contenders", [6, 50])
@pytest.mark.parametrize("degrees_of_freedom", [4.6, 70.3])
def test_every_difference_has_an_error_of_its_own_as_if_estimated_from_that_many_clusters(
    contenders: int, degrees_of_freedom: float
) -> None:
    rng = np.random.default_rng(0)
    factor = rng.normal(size=(contenders, contenders)) / contenders + np.eye(contenders)
    largest = largest_differences(factor @ factor.T, everybody(contenders), degrees_of_freedom=degrees_of_freedom)

    expected = []
    for draw in range(2000):
        whole = int(degrees_of_freedom) + (draw % 10 < round(10 * (degrees_of_freedom % 1)))
        sample = rng.normal(size=(whole + 1, contenders)) @ factor.T
        gaps = np.abs(sample[0][:, None] - sample[0][None, :])
        errors = np.sqrt(((sample[1:, :, None] - sample[1:, None, :]) ** 2).mean(axis=0))
        expected.append((gaps / np.where(errors > 0, errors, np.inf)).max())
    assert np.median(largest) == pytest.approx(np.median(expected), rel=0.06)
    assert np.quantile(largest, 0.95) == pytest.approx(np.quantile(expected, 0.95), rel=0.12)


def test_pairs_that_are_not_chosen_do_not_count() -> None:
    chosen = np.zeros((4, 4), dtype=bool)
    chosen[0, 1] = chosen[1, 0] = True
    largest = largest_differences(np.diag([1.0, 1.0, 50.0, 50.0]), chosen)

    assert np.quantile(largest, 0.95) == pytest.approx(1.96, rel=0.02)


def test_nearly_alike_contenders_among_many_are_not_lost_in_rounding() -> None:
    # Two of fifty differ by a thousandth of what the others differ by.
    covariance = np.eye(50)
    covariance[0, 1] = covariance[1, 0] = 1 - 1e-6
    chosen = np.zeros((50, 50), dtype=bool)
    chosen[0, 1] = chosen[1, 0] = True
    largest = largest_differences(covariance, chosen, degrees_of_freedom=30.0)

    assert np.quantile(largest, 0.95) == pytest.approx(student.ppf(0.975, 30), rel=0.06)


def test_a_root_of_less_than_full_rank_gives_the_covariance_back() -> None:
    centring = np.eye(5) - 0.2
    assert root(centring).shape == (5, 4)
    np.testing.assert_allclose(root(centring) @ root(centring).T, centring, atol=1e-12)

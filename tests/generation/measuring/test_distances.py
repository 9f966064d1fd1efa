"""Distances between sets, against closed forms."""

import numpy as np
import pytest

from generation.measuring.distances import cmmd, frechet_distance, precision_recall


def with_moments(mean: np.ndarray, covariance: np.ndarray, *, rows: int = 40, seed: int = 1) -> np.ndarray:
    """Rows whose sample mean and sample covariance are exactly these."""
    drawn = np.random.default_rng(seed).normal(size=(rows, len(mean)))
    drawn -= drawn.mean(axis=0)
    whitened = drawn @ np.linalg.inv(np.linalg.cholesky(np.atleast_2d(np.cov(drawn, rowvar=False))).T)
    return np.asarray(whitened @ np.linalg.cholesky(covariance).T + mean)


def test_the_frechet_distance_of_one_feature_is_that_of_two_normal_distributions() -> None:
    one, other = with_moments(np.array([1.0]), np.array([[4.0]])), with_moments(np.array([3.0]), np.array([[9.0]]))
    assert frechet_distance(one, other) == pytest.approx((1 - 3) ** 2 + (2 - 3) ** 2)


def test_the_frechet_distance_of_independent_features_adds_up() -> None:
    one = with_moments(np.array([0.0, 1.0, 2.0]), np.diag([1.0, 4.0, 9.0]))
    other = with_moments(np.array([1.0, 1.0, 0.0]), np.diag([4.0, 1.0, 16.0]), seed=2)
    assert frechet_distance(one, other) == pytest.approx((1 + 0 + 4) + (1 + 1 + 1))


def test_the_frechet_distance_of_any_covariances_is_the_formula_with_matrix_roots() -> None:
    from scipy.linalg import sqrtm

    rng = np.random.default_rng(3)
    shapes = [np.eye(4) + each @ each.T for each in rng.normal(size=(2, 4, 4))]
    means = rng.normal(size=(2, 4))
    one, other = (with_moments(mean, shape, seed=7) for mean, shape in zip(means, shapes, strict=True))
    root = np.real(sqrtm(shapes[0] @ shapes[1]))
    wanted = ((means[0] - means[1]) ** 2).sum() + np.trace(shapes[0] + shapes[1] - 2 * root)
    assert frechet_distance(one, other) == pytest.approx(wanted)
    assert frechet_distance(other, one) == pytest.approx(wanted)


def test_a_set_lies_at_distance_nought_from_itself_even_with_fewer_images_than_features() -> None:
    few = np.random.default_rng(4).normal(size=(5, 20))
    assert frechet_distance(few, few) == pytest.approx(0, abs=1e-9)
    assert cmmd(few, few) == pytest.approx(0, abs=1e-9)


def test_precision_and_recall_tell_poor_pictures_from_poor_variety() -> None:
    rng = np.random.default_rng(5)
    real = np.concatenate([rng.normal(0, 0.1, size=(50, 2)), rng.normal(10, 0.1, size=(50, 2))])
    half = rng.normal(0, 0.05, size=(60, 2))
    strange = np.concatenate([rng.normal(0, 0.05, size=(30, 2)), rng.normal(-50, 0.1, size=(30, 2))])
    same, narrow, poor = (precision_recall(made, real) for made in (real, half, strange))
    assert (same.precision, same.recall) == (1, 1)
    assert narrow.precision == 1 and narrow.recall <= 0.5
    assert poor.precision == 0.5


def test_precision_and_recall_are_those_of_a_slow_program() -> None:
    rng = np.random.default_rng(6)
    made, real = rng.normal(size=(30, 3)), rng.normal(2.0, 1.2, size=(25, 3))

    def covered(points: np.ndarray, centres: np.ndarray) -> float:
        hits = 0
        for point in points:
            for centre in centres:
                others = sorted(float(np.linalg.norm(centre - each)) for each in centres)
                if np.linalg.norm(point - centre) <= others[3]:
                    hits += 1
                    break
        return hits / len(points)

    found = precision_recall(made, real)
    assert (found.precision, found.recall) == (covered(made, real), covered(real, made))
    assert 0 < found.precision < 1


def test_the_discrepancy_of_two_points_is_the_kernel_written_out() -> None:
    one, other = np.array([[2.0, 0.0]]), np.array([[0.0, 5.0]])
    assert cmmd(one, other) == pytest.approx(1000 * (2 - 2 * np.exp(-2 / (2 * 10**2))))


@pytest.mark.parametrize(("rows", "width"), [(1, 3), (5, 2)])
def test_sets_that_cannot_be_compared_are_refused(rows: int, width: int) -> None:
    rng = np.random.default_rng(7)
    with pytest.raises(ValueError, match="two tables of features|at least 2 images"):
        frechet_distance(rng.normal(size=(6, 3)), rng.normal(size=(rows, width)))
    with pytest.raises(ValueError, match="at least 4 images a side"):
        precision_recall(rng.normal(size=(6, 3)), rng.normal(size=(3, 3)))

"""How far two sets of images lie apart, from features of each. Pure NumPy: no files, no torch."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NEIGHBOURS: Final = 3
"""k of improved precision and recall, as in their paper."""

_ROWS: Final = 512
_CMMD_SIGMA: Final = 10.0
_CMMD_SCALE: Final = 1000.0


@dataclass(frozen=True)
class PrecisionRecall:
    """Precision: share of the made images that look real. Recall: share of the real ones that are matched."""

    precision: float
    recall: float


def frechet_distance(one: Floats, other: Floats) -> float:
    """Squared Frechet distance of the normal distributions with the means and covariances of features (n, d), (m, d).

    |mean - mean'|^2 + tr(S + S' - 2 (S S')^1/2) (Dowson & Landau 1982; FID: Heusel et al. 2017), covariances with
    n - 1. At least two rows each. With fewer images than features the covariances are singular and the distance is
    far too large; it can be computed all the same, and compared only at equal numbers of images.
    """
    _check(one, other, least=2)
    offset = one.mean(axis=0) - other.mean(axis=0)
    first, second = np.atleast_2d(np.cov(one, rowvar=False)), np.atleast_2d(np.cov(other, rowvar=False))
    # The eigenvalues of S S' are those of the symmetric S^1/2 S' S^1/2, which rounding cannot make complex.
    values, vectors = np.linalg.eigh(first)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    common = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ second @ root), 0)).sum()
    return float(max(0.0, offset @ offset + np.trace(first) + np.trace(second) - 2 * common))


def precision_recall(made: Floats, real: Floats, *, neighbours: int = NEIGHBOURS) -> PrecisionRecall:
    """Improved precision and recall (Kynkaanniemi et al. 2019, arXiv 1904.06991) of features (n, d) and (m, d).

    A set's manifold is the union of balls around its points, each as wide as the distance to its k-th nearest other
    point. Raises ValueError with fewer than k + 1 rows in either.
    """
    _check(made, real, least=neighbours + 1)
    return PrecisionRecall(
        precision=_share_within(made, real, _radii(real, neighbours)),
        recall=_share_within(real, made, _radii(made, neighbours)),
    )


def cmmd(one: Floats, other: Floats) -> float:
    """1000 times the squared maximum mean discrepancy of features of length one, Gaussian kernel of sigma 10.

    Jayasumana et al. 2024 (arXiv 2401.09603), the estimator that counts a point with itself, as in their code.
    """
    _check(one, other, least=1)
    first, second = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (one, other))
    between = _mean_kernel(first, second)
    return float(_CMMD_SCALE * (_mean_kernel(first, first) + _mean_kernel(second, second) - 2 * between))


def _mean_kernel(one: Floats, other: Floats) -> float:
    sums = [np.exp(-block / (2 * _CMMD_SIGMA**2)).sum() for block in _squared_distances(one, other)]
    return float(np.sum(sums) / (len(one) * len(other)))


def _radii(points: Floats, neighbours: int) -> Floats:
    """(n,) squared distance of each point to its k-th nearest other one."""
    # The nearest of all is the point itself.
    return np.concatenate(
        [np.partition(block, neighbours, axis=1)[:, neighbours] for block in _squared_distances(points, points)]
    )


def _share_within(points: Floats, centres: Floats, radii: Floats) -> float:
    inside = [(block <= radii).any(axis=1) for block in _squared_distances(points, centres)]
    return float(np.concatenate(inside).mean())


def _squared_distances(one: Floats, other: Floats) -> list[Floats]:
    """Blocks of rows of the (n, m) table, which need not fit in memory as differences."""
    lengths = (other**2).sum(axis=1)
    return [
        np.maximum((rows**2).sum(axis=1)[:, None] + lengths - 2 * rows @ other.T, 0)
        for rows in (one[start : start + _ROWS] for start in range(0, len(one), _ROWS))
    ]


def _check(one: Floats, other: Floats, *, least: int) -> None:
    if one.ndim != 2 or other.ndim != 2 or one.shape[1] != other.shape[1]:
        raise ValueError(f"two tables of features of one width are compared, not {one.shape} with {other.shape}")
    if min(len(one), len(other)) < least:
        raise ValueError(f"at least {least} images a side are needed, there are {len(one)} and {len(other)}")

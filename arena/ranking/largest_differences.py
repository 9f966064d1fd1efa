"""The largest of all correlated differences of contenders, each in its own standard errors, by simulation."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Reals = NDArray[np.floating]

# Their seed is fixed, so that one fit gives one answer.
_SEED = 20_250_101
_DRAWS = 10_000
# Above so many contenders a draw costs more, and the largest of so many differences varies less.
_MANY_CONTENDERS, _FEWER_DRAWS = 40, 2_000
# From so many on most pairs of a draw need no look; where each draw has errors of its own they do, for fewer draws.
_VERY_MANY, _FEWEST_DRAWS = 200, 500
# Contenders at either end of a draw whose pairs are looked at first.
_ENDS = 20
# Numbers in one batch: few enough for the cache of a core.
_CHUNK = 100_000
# Differences whose variance is less than this share of the largest would drown in the rounding of single precision.
_COARSE = 1e-3


def largest_differences(
    covariance: Floats, chosen: Flags, *, degrees_of_freedom: float | None = None, least: Floats | None = None
) -> Floats:
    """(n,) draws of the largest |x_i - x_j| / standard error, x normal with this covariance (k, k).

    chosen:             bool (k, k), symmetric: the pairs to look at
    degrees_of_freedom: of the estimated covariance that every draw gets of its own, a Wishart matrix; None takes the
                        true one
    least:              (k, k) variances of differences below which no estimated one is taken to lie
    """
    many = len(covariance) > _MANY_CONTENDERS
    own = np.diagonal(covariance)
    spread = own[:, None] + own[None, :] - 2 * covariance
    coarse = many and bool(spread[chosen].min() > _COARSE * own.max())
    kind: type[np.floating] = np.float32 if coarse else np.float64
    roots = root(covariance).astype(kind)
    excluded = np.where(chosen, 0, np.inf).astype(kind)
    draws = _FEWER_DRAWS if many else _DRAWS
    if degrees_of_freedom is None:
        spread = (spread + excluded).astype(kind)
        return (_at_the_ends if len(own) >= _VERY_MANY else _with_the_true_errors)(roots, spread, draws)
    if len(own) >= _VERY_MANY:
        draws = _FEWEST_DRAWS
    return np.concatenate(
        [
            _largest(roots, scaled, excluded, None if least is None else least.astype(kind), rng)
            for scaled, rng in _estimated_roots(roots, degrees_of_freedom, draws, np.random.default_rng(_SEED))
        ]
    )


def root(covariance: Floats) -> Floats:
    """(k, r) of full rank, whose product with its transpose is the covariance."""
    values, vectors = np.linalg.eigh(covariance)
    kept = values > 1e-12 * max(float(values.max()), 1e-300)
    found: Floats = vectors[:, kept] * np.sqrt(values[kept])
    return found


def _with_the_true_errors(roots: Reals, spread: Reals, draws: int) -> Floats:
    rng = np.random.default_rng(_SEED)
    scale = 1 / np.sqrt(spread)
    largest = np.empty(draws)
    step = max(1, _CHUNK // spread.size)
    for start in range(0, draws, step):
        normal = rng.standard_normal((min(step, draws - start), roots.shape[1]), dtype=roots.dtype.type)
        values = normal @ roots.T
        gaps = values[:, :, None] - values[:, None, :]
        gaps *= scale
        # Row less column and column less row are both there, so that no sign need be taken off.
        largest[start : start + step] = gaps.max(axis=(1, 2))
    return largest


def _at_the_ends(roots: Reals, spread: Reals, draws: int) -> Floats:
    """The same of very many contenders, draw by draw.

    A pair that is closer than what pairs of the ends have reached, at the least error of any, cannot be the largest.
    """
    rng = np.random.default_rng(_SEED)
    scale = 1 / np.sqrt(spread)
    steepest = float(scale.max())
    largest = np.empty(draws)
    step = max(1, _CHUNK // len(roots))
    for start in range(0, draws, step):
        normal = rng.standard_normal((min(step, draws - start), roots.shape[1]), dtype=roots.dtype.type)
        for place, values in enumerate(normal @ roots.T, start):
            order = np.argsort(values)
            reached = _most(values, scale, order[-_ENDS:], order[:_ENDS])
            # A rounding's worth nearer, so that nothing as large is passed over.
            wanted = 0.999 * reached / steepest
            high = order[np.searchsorted(values[order], values[order[0]] + wanted) :]
            low = order[: np.searchsorted(values[order], values[order[-1]] - wanted, side="right")]
            largest[place] = _most(values, scale, high, low)
    return largest


def _most(values: Reals, scale: Reals, high: NDArray[np.intp], low: NDArray[np.intp]) -> float:
    gaps = values[high, None] - values[low]
    gaps *= scale[np.ix_(high, low)]
    return float(gaps.max(initial=0))


def _largest(roots: Reals, scaled: Reals, excluded: Reals, least: Reals | None, rng: np.random.Generator) -> Floats:
    """(n,) largest differences under estimated covariances scaled @ its transpose, scaled (n, k, c)."""
    values = rng.standard_normal((len(scaled), roots.shape[1]), dtype=roots.dtype.type) @ roots.T
    covariance = scaled @ scaled.transpose(0, 2, 1)
    own = np.diagonal(covariance, axis1=1, axis2=2).copy()
    covariance *= -2
    covariance += own[:, :, None]
    covariance += own[:, None, :]
    if least is not None:
        np.maximum(covariance, least, out=covariance)
    covariance += excluded
    gaps = values[:, :, None] - values[:, None, :]
    gaps *= gaps
    gaps /= covariance
    largest: Floats = np.sqrt(gaps.max(axis=(1, 2)).astype(np.float64))
    return largest


def _estimated_roots(
    roots: Reals, df: float, draws: int, rng: np.random.Generator
) -> Iterator[tuple[Reals, np.random.Generator]]:
    """Batches (n, k, c) whose products with their transposes are Wishart matrices divided by their freedom.

    Of full rank by Bartlett's decomposition (1933, Proc. R. Soc. Edinburgh 53:260), at any number of degrees. With
    fewer degrees than dimensions from as many samples as there are degrees; a fraction is the share of draws with one
    more.
    """
    kind, rank = roots.dtype.type, roots.shape[1]
    if df >= rank:
        step = max(1, _CHUNK // len(roots) ** 2)
        for start in range(0, draws, step):
            yield _bartlett(roots, df, min(step, draws - start), rng), rng
        return
    more = round((df - int(df)) * draws)
    for samples, number in ((int(df), draws - more), (int(df) + 1, more)):
        step = max(1, _CHUNK // (max(samples, len(roots)) * len(roots)))
        for start in range(0, number, step):
            normal = rng.standard_normal((min(step, number - start), samples, rank), dtype=kind)
            yield (normal @ roots.T).transpose(0, 2, 1) / kind(np.sqrt(samples)), rng


def _bartlett(roots: Reals, df: float, number: int, rng: np.random.Generator) -> Reals:
    rank = roots.shape[1]
    # The draws in the middle, so that one product serves them all.
    lower = np.zeros((rank, number, rank), dtype=roots.dtype)
    below = np.tril_indices(rank, -1)
    lower[below[0], :, below[1]] = rng.standard_normal((len(below[0]), number), dtype=roots.dtype.type)
    diagonal = np.arange(rank)
    lower[diagonal, :, diagonal] = np.sqrt(rng.chisquare(df - diagonal[:, None], size=(rank, number)))
    scaled = roots @ lower.reshape(rank, -1)
    scaled /= roots.dtype.type(np.sqrt(df))
    return scaled.reshape(len(roots), number, rank).transpose(1, 0, 2)

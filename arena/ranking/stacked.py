"""Several criteria in one covariance: the same people judged all of them, so their errors hang together.

Each cluster's shifts of all fits stand side by side (Liang & Zeger 1986, Biometrika 73:13, for the stacked scores), so
that differences between criteria and weighted composites have right errors. Taking criteria for independent makes
composites look too sure and differences between criteria not sure enough. Categories of prompts are stacked alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import gammaincc

from arena.ranking.cluster_scores import ClusterBy, ScoredVotes
from arena.ranking.intervals import Intervals, normal_quantile, t_quantile, wider
from arena.ranking.jackknife import Jackknife
from arena.ranking.precision import Precision, clipped
from arena.ranking.tallies import Votes

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]

# Draws behind simultaneous intervals; their seed is fixed, so that one study gives one answer.
_DRAWS = 10_000
_SEED = 20_250_102
# A variance below this share of the largest is rounding: its contrast is known.
_KNOWN = 1e-12


@dataclass(frozen=True, eq=False)
class Stacked:
    """C fits of the same K contenders; a contrast has a row of K weights for each criterion, flattened.

    precisions: of each criterion
    covariance: (C K, C K) of the strengths, criterion by criterion
    floors:     one-way covariances below which no variance is taken to lie
    """

    precisions: tuple[Precision, ...]
    covariance: Floats
    floors: tuple[Floats, ...]

    @property
    def contenders(self) -> int:
        return self.precisions[0].fit.contenders

    @property
    def strengths(self) -> Floats:
        """(C, K) log strengths."""
        return np.stack([precision.fit.strengths for precision in self.precisions])

    @cached_property
    def degrees_of_freedom(self) -> Floats:
        """(K,) of Student's t: the fewest of any criterion; NaN where some criterion has no honest interval."""
        fewest: Floats = np.min([precision.degrees_of_freedom for precision in self.precisions], axis=0)
        for precision in self.precisions:
            fewest[[reason is not None for reason in precision.no_interval]] = np.nan
        return fewest

    @cached_property
    def correlation(self) -> Floats:
        """(C K, C K) of the errors of all strengths."""
        errors = np.sqrt(np.diagonal(self.covariance))
        with np.errstate(invalid="ignore"):
            return self.covariance / errors[:, None] / errors[None, :]

    def variances(self, contrasts: Floats) -> Floats:
        """(n,) of contrasts (n, C, K). Those of a single criterion are exactly that criterion's own."""
        largest: Floats = np.maximum(*self.variances_by_source(contrasts))
        return largest

    def variances_by_source(self, contrasts: Floats) -> tuple[Floats, Floats]:
        """(n,) of contrasts (n, C, K) as clusters show them, and if votes were independent, as in Precision.

        The latter is 0 for contrasts of several criteria: only clusters tell how the criteria of one person's vote hang
        together.
        """
        flat = contrasts.reshape(len(contrasts), -1)
        largest = np.max([((flat @ each) * flat).sum(axis=1) for each in (self.covariance, *self.floors)], axis=0)
        clustered: Floats = np.maximum(largest, 0)
        independent = np.zeros_like(clustered)
        touched = np.any(contrasts != 0, axis=2)
        for number, precision in enumerate(self.precisions):
            own = touched[:, number] & (touched.sum(axis=1) == 1)
            padded = np.zeros((int(own.sum()), len(precision.covariance)))
            padded[:, : self.contenders] = contrasts[own, number]
            clustered[own], independent[own] = precision.variances_by_source(padded)
        return clustered, independent

    def independent(self) -> Floats:
        """(C K, C K) covariance if votes were independent, and those on different criteria of different people."""
        known = self.contenders
        whole = np.zeros_like(self.covariance)
        for place, precision in enumerate(self.precisions):
            own = slice(place * known, (place + 1) * known)
            whole[own, own] = precision.fit.covariance[:known, :known]
        return whole

    def draw(self, size: int, rng: np.random.Generator) -> Floats:
        """(size, K, C) strengths as resampled clusters would give them, by their normal approximation."""
        values, vectors = np.linalg.eigh(self.covariance)
        noise = rng.standard_normal((size, len(values))) @ (vectors * np.sqrt(np.maximum(values, 0))).T
        draws: Floats = (self.strengths + noise.reshape(size, *self.strengths.shape)).transpose(0, 2, 1)
        return draws


@dataclass(frozen=True, eq=False)
class Composite:
    """Weighted sum of the criteria's log strengths. strengths: (K,); differences: (K, K) of row less column."""

    strengths: Intervals
    differences: Intervals


def stack(precisions: Sequence[Precision], votes: Sequence[Votes]) -> Stacked:
    """Stack the criteria of one study; each was made from the votes at its place, by the same kinds of clusters (CR3).

    Raises ValueError where criteria differ in contenders or clusters, or took votes for independent.
    """
    if not precisions or len(precisions) != len(votes):
        raise ValueError("stacking needs one precision and its votes for each criterion")
    by, known = precisions[0].by, precisions[0].fit.contenders
    if not by or any(precision.by != by or precision.fit.contenders != known for precision in precisions):
        raise ValueError("stacked criteria must have the same contenders and be clustered by the same thing")
    scored = [ScoredVotes(precision.fit, own) for precision, own in zip(precisions, votes, strict=True)]
    one_way = [_jackknifed(scored, name) for name in by]
    if len(one_way) == 1:
        return Stacked(tuple(precisions), one_way[0], ())
    both = clipped(one_way[0] + one_way[1] - _by_cell(scored))
    return Stacked(tuple(precisions), both, tuple(one_way))


def criterion_gaps(stacked: Stacked, one: int, other: int, *, level: float = 0.95) -> Intervals:
    """(K,) by how much more a contender's log strength is in one criterion than in another.

    Strengths average zero in each criterion, so this is about a contender's place among the others.
    """
    known = stacked.contenders
    contrasts = np.zeros((known, len(stacked.precisions), known))
    contrasts[np.arange(known), one, np.arange(known)] = 1
    contrasts[np.arange(known), other, np.arange(known)] -= 1
    estimate: Floats = stacked.strengths[one] - stacked.strengths[other]
    width = _reach(stacked, contrasts, t_quantile(stacked.degrees_of_freedom, level), level)
    return Intervals(estimate, estimate - width, estimate + width)


def composite(stacked: Stacked, weights: Floats, *, level: float = 0.95) -> Composite:
    """One board from the criteria's weights (C,), which sum to 1."""
    if weights.shape != (len(stacked.precisions),) or (weights < 0).any() or not np.isclose(weights.sum(), 1):
        raise ValueError("a composite needs a weight of 0 or more for each criterion, and they must sum to 1")
    known = stacked.contenders
    used = weights > 0
    estimate: Floats = weights[used] @ stacked.strengths[used]
    quantile = t_quantile(stacked.degrees_of_freedom, level)
    width = _reach(stacked, np.eye(known)[:, None, :] * weights[None, :, None], quantile, level)
    row, column = (places.ravel() for places in np.indices((known, known)))
    pairs = np.eye(known)[row] - np.eye(known)[column]
    wanted = np.maximum(quantile[:, None], quantile[None, :]).ravel()
    reach = _reach(stacked, pairs[:, None, :] * weights[None, :, None], wanted, level).reshape(known, known)
    reach[_apart(stacked)] = np.nan
    gaps = np.where(_apart(stacked), np.nan, estimate[:, None] - estimate[None, :])
    return Composite(
        Intervals(estimate, estimate - width, estimate + width), Intervals(gaps, gaps - reach, gaps + reach)
    )


def simultaneous_differences(stacked: Stacked, *, level: float = 0.95) -> Intervals:
    """(C, K, K) log strength of row less column in each criterion; all of them hold at once."""
    number, known = stacked.strengths.shape
    contrasts = np.zeros((number, known, known, number, known))
    place = np.arange(known)
    for criterion in range(number):
        contrasts[criterion, place, :, criterion, place] += 1
        contrasts[criterion, :, place, criterion, place] -= 1
    sources = stacked.variances_by_source(contrasts.reshape(-1, number, known))
    gaps = stacked.strengths[:, :, None] - stacked.strengths[:, None, :]
    gaps[:, _apart(stacked)] = np.nan
    df = float(np.nanmin(stacked.degrees_of_freedom)) if not np.isnan(stacked.degrees_of_freedom).all() else np.nan
    shape = max((stacked.covariance, *stacked.floors), key=lambda each: float(np.trace(each)))
    quantile = _critical_value(stacked, shape, df, level)
    plain = _critical_value(stacked, stacked.independent(), np.inf if np.isfinite(df) else df, level)
    reach = wider(*sources, np.array(quantile), plain).reshape(number, known, known)
    reach[:, _apart(stacked)] = np.nan
    silent = np.isnan(stacked.degrees_of_freedom)
    reach[:, silent[:, None] | silent[None, :]] = np.nan
    return Intervals(gaps, gaps - reach, gaps + reach)


def _reach(stacked: Stacked, contrasts: Floats, quantile: Floats, level: float) -> Floats:
    """(n,) half the width for contrasts (n, C, K): the wider of clusters' t and independent votes' z."""
    return wider(*stacked.variances_by_source(contrasts), quantile, normal_quantile(level))


def _critical_value(stacked: Stacked, shape: Floats, df: float, level: float) -> float:
    """Quantile of the largest of all criteria's correlated t statistics, over one chi-square denominator.

    shape: (C K, C K) covariance with their correlations
    """
    if np.isnan(df):
        return float("nan")
    number, known = stacked.strengths.shape
    first, second = np.triu_indices(known, 1)
    comparable = ~_apart(stacked)[first, second]
    first, second = first[comparable], second[comparable]
    values, vectors = np.linalg.eigh(shape)
    normal = np.random.default_rng(_SEED).standard_normal((_DRAWS, len(values)))
    draws = (normal @ (vectors * np.sqrt(np.maximum(values, 0))).T).reshape(_DRAWS, number, known)
    own = np.diagonal(shape).reshape(number, known)
    largest = np.zeros(_DRAWS)
    for criterion in range(number):
        block = shape[criterion * known : (criterion + 1) * known, criterion * known : (criterion + 1) * known]
        spread = own[criterion, first] + own[criterion, second] - 2 * block[first, second]
        moving = spread > _KNOWN * max(float(own.max()), 1e-300)
        gaps = draws[:, criterion, first[moving]] - draws[:, criterion, second[moving]]
        largest = np.maximum(largest, (np.abs(gaps) / np.sqrt(spread[moving])).max(axis=1, initial=0))
    single = float(t_quantile(np.array(df), level))
    if np.isinf(df):
        return max(single, float(np.quantile(largest, level)))

    def excess(quantile: float) -> float:
        return float(gammaincc(df / 2, df / 2 * (largest / quantile) ** 2).mean()) - level

    highest = single
    while excess(highest) < 0:
        highest *= 2
    return max(single, float(brentq(excess, single / 10, highest)))


def _apart(stacked: Stacked) -> NDArray[np.bool_]:
    """(K, K) pairs that some criterion cannot compare, and a contender with itself."""
    apart = np.eye(stacked.contenders, dtype=bool)
    for precision in stacked.precisions:
        apart |= precision.fit.components[:, None] != precision.fit.components[None, :]
    return apart


def _labels(votes: Votes, by: ClusterBy) -> NDArray[np.integer[Any]]:
    labels = votes.rater if by == "rater" else votes.prompt
    if labels is None:
        raise ValueError(f"the votes carry no {by}s, so there is nothing to cluster by {by}")
    return labels


def _jackknifed(scored: Sequence[ScoredVotes], by: ClusterBy) -> Floats:
    """(C K, C K) CR3 covariance; a cluster that did not vote on a criterion shifts nothing in it."""
    shifts, present = [], []
    for own in scored:
        partition, known = own.partition(by), own.fit.contenders
        inside = partition.of_vote < partition.count
        # Clusters are numbered in the order of their labels.
        present.append(np.unique(_labels(own.votes, by)[inside]))
        # Scaled so that the blocks on the diagonal are those of the single fits.
        scale = np.sqrt(1 - 1 / max(partition.count, 1))
        shifts.append(Jackknife(own, partition).shifts()[:, :known] * scale)
    union = np.unique(np.concatenate(present))
    whole = np.zeros((len(union), len(scored), scored[0].fit.contenders))
    for number, (rows, labels) in enumerate(zip(shifts, present, strict=True)):
        whole[np.searchsorted(union, labels), number] = rows
    flat = whole.reshape(len(union), -1)
    covariance: Floats = flat.T @ flat
    return covariance


def _by_cell(scored: Sequence[ScoredVotes]) -> Floats:
    """(C K, C K) sandwich over the votes of one rater on one prompt, of all criteria together."""
    cells = [_cells(own) for own in scored]
    union = np.unique(np.concatenate([keys[keys >= 0] for keys in cells]))
    halves = []
    for own, keys in zip(scored, cells, strict=True):
        rows = np.flatnonzero(keys >= 0)
        scores = own.sparse_scores(rows, np.searchsorted(union, keys[rows]), len(union))
        halves.append((scores, own.fit.bread[:, : own.fit.contenders]))
    blocks = [[right.T @ (one.T @ two).toarray().T @ left for two, right in halves] for one, left in halves]
    covariance: Floats = np.block([[block.T for block in row] for row in blocks])
    return covariance


def _cells(own: ScoredVotes) -> NDArray[np.int64]:
    """(n,) a key of the vote's rater and prompt, the same in every criterion; -1 where it is in no cell."""
    rater, prompt = _labels(own.votes, "rater"), _labels(own.votes, "prompt")
    keys = rater.astype(np.int64) << 32 | prompt.astype(np.int64)
    partition = own.partition("rater")
    keys[partition.of_vote == partition.count] = -1
    return keys

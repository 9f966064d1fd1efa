"""Non-dominated sorting: contenders that nobody beats on every criterion, then those only they beat, and so on.

Scaling Rectified Flow Transformers (arXiv 2403.03206), Table 1: fronts in every setting, averaged over the settings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Stability:
    """How fronts hold when clusters are resampled.

    first:  (K,) share of replicates in which the contender is in the first front
    shares: (K, K) share in which it is in front 1, 2, ...
    mean:   (K,) its front on average
    """

    first: Floats
    shares: Floats
    mean: Floats


def dominates(scores: Floats) -> Flags:
    """(..., K, K) whether the row is as good as the column on all criteria and better on one, from scores (..., K, C).

    More is better; turn the sign of a criterion where less is. NaN dominates nobody and is dominated by nobody.
    """
    row, column = scores[..., :, None, :], scores[..., None, :, :]
    found: Flags = np.all(row >= column, axis=-1) & np.any(row > column, axis=-1)
    return found


def fronts(scores: Floats) -> Integers:
    """(..., K) front of each contender from scores (..., K, C): 1 if nobody dominates it; 0 where a score is NaN."""
    unknown: Flags = np.any(np.isnan(scores), axis=-1)
    above = dominates(scores)
    front = np.zeros(scores.shape[:-1], dtype=np.intp)
    left: Flags = ~unknown
    number = 0
    while left.any():
        number += 1
        free = left & ~(above & left[..., :, None]).any(axis=-2)
        front[free] = number
        left = left & ~free
    return front


def average_front(settings: Floats) -> Floats:
    """(K,) front of each contender on average over S settings, from scores (S, K, C).

    A contender that is missing in a setting has NaN there, and the average is over the others; NaN if in none.
    """
    each = fronts(settings)
    number = (each > 0).sum(axis=0)
    average: Floats = np.divide(each.sum(axis=0), number, out=np.full(len(number), np.nan), where=number > 0)
    return average


def stability(replicates: Floats) -> Stability:
    """How often each contender is in which front, over strengths (B, K, C) of B resamples of the study.

    The criteria of one resample must be of the same clusters, as those of Stacked.draw are.
    """
    if not len(replicates):
        raise ValueError("stability needs at least one replicate")
    each = fronts(replicates)
    known = each.shape[1]
    shares = np.stack([(each == number).mean(axis=0) for number in range(1, known + 1)], axis=1)
    return Stability(shares[:, 0], shares, shares @ np.arange(1, known + 1))

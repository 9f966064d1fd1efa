"""Intervals for strengths that are finite only by Firth's penalty: where the penalised likelihood falls too far.

Such a likelihood is far from symmetric, and standard errors say little about it (Heinze & Schemper 2002, Stat. Med.
21:2409). Votes that are alike make it fall less: the drop is divided by the contrast's design effect, as in the
adjusted likelihood ratio (Rotnitzky & Jewell 1990, Biometrika 77:485).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from arena.ranking.firth import Penalised
from arena.ranking.fitted import ModelFit

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]

_EXACT = 1e-5
# Odds of 10^11 to 1. Farther out the information is singular in double precision, and nobody needs to know more.
_FARTHEST = 25.0
# Newton's method on the signed root takes four or so; halving the bracket each second time, no search takes more.
_MOST_STEPS = 80


def profile_interval(fit: ModelFit, contrast: Floats, *, reach: float) -> tuple[float, float]:
    """The interval of one contrast (K [+ 1] [+ 1],): see profile_intervals."""
    low, high = profile_intervals(fit, contrast[None, :], np.array([reach]))[0]
    return float(low), float(high)


def profile_intervals(fit: ModelFit, contrasts: Floats, reaches: Floats) -> Floats:
    """(n, 2) values of contrasts (n, K [+ 1] [+ 1]) @ parameters where the signed root likelihood ratio is +- reach.

    reaches: (n,) the quantile wanted, times the square root of the design effect

    An end that lies more than 25 log units away is infinite: so few votes exclude nothing on that side.
    """
    directions = np.repeat(fit.problem.expansion.T @ contrasts.T, 2, axis=1)
    signs = np.tile([-1.0, 1.0], len(contrasts))
    best = fit.parameters @ directions
    errors = np.repeat(np.sqrt(((contrasts @ fit.bread) * contrasts).sum(axis=1)), 2)
    penalised = Penalised(fit.problem, fit.penalised)
    curves = _Curves(
        penalised=penalised,
        top=penalised.value(fit.parameters),
        directions=directions,
        signs=signs,
        best=best,
        reaches=np.repeat(reaches, 2),
        places=np.repeat(fit.parameters[:, None], len(signs), axis=1),
    )
    ends = best + signs * _ends(curves, errors)
    return ends.reshape(-1, 2)


@dataclass(frozen=True, eq=False)
class _Curves:
    """Signed roots along n directions. places: (p, n) where each was last asked for, from which the next climb goes."""

    penalised: Penalised
    top: float
    directions: Floats
    signs: Floats
    best: Floats
    reaches: Floats
    places: Floats

    def short_of(self, which: Integers, distances: Floats) -> tuple[Floats, Floats]:
        """By how much the root at these distances exceeds the reach, and its slope; NaN where no climb arrived."""
        directions, signs = self.directions[:, which], self.signs[which]
        values = self.best[which] + signs * distances
        found = self.penalised.maximise_within(self.places[:, which], directions, values)
        arrived = ~np.isnan(found).any(axis=0)
        roots, slopes = np.full(len(which), np.nan), np.full(len(which), np.nan)
        there, along = found[:, arrived], directions[:, arrived]
        self.places[:, which[arrived]] = there
        roots[arrived] = np.sqrt(np.maximum(2 * (self.top - self.penalised.values(there)), 0.0))
        # Where nothing else can be gained, the score is a multiple of the direction: by that much the curve falls.
        falls = -signs[arrived] * (self.penalised.modified_score(there) * along).sum(axis=0) / (along**2).sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            slopes[arrived] = falls / roots[arrived]
        return roots - self.reaches[which], slopes


def _ends(curves: _Curves, errors: Floats) -> Floats:
    """(n,) distances at which nothing is short; infinite where that is too far to be seen."""
    far = np.minimum(curves.reaches * errors, _FARTHEST)
    short, slope = (np.full(len(far), np.nan) for _ in range(2))
    wanting = np.arange(len(far))
    near = np.zeros(len(far))
    while len(wanting):
        short[wanting], slope[wanting] = curves.short_of(wanting, far[wanting])
        wanting = wanting[(short[wanting] < 0) & (far[wanting] < _FARTHEST)]
        near[wanting] = far[wanting]
        far[wanting] = np.minimum(2 * far[wanting], _FARTHEST)
    # No climb arrives so far out that the information is all rounding: still nothing is excluded on this side.
    bracketed = np.flatnonzero(short >= 0)
    ends = np.full(len(far), np.inf)
    exact = _EXACT * np.maximum(1.0, errors)
    ends[bracketed] = _crossings(curves, bracketed, near, far, (short, slope), exact)
    return ends


def _crossings(
    curves: _Curves, which: Integers, near: Floats, far: Floats, at_far: tuple[Floats, Floats], exact: Floats
) -> Floats:
    """Where the curves cross zero between near, where they are below, and far, where they are not.

    Newton's method, and halving where it would leave the bracket or has not come closer by half.
    """
    low, high, place = near.copy(), far.copy(), far.copy()
    short, slope = at_far[0].copy(), at_far[1].copy()
    halving = np.zeros(len(far), dtype=bool)
    searching = which
    for _ in range(_MOST_STEPS):
        if not len(searching):
            break
        with np.errstate(divide="ignore", invalid="ignore"):
            aim = place[searching] - short[searching] / slope[searching]
        inside = (aim >= low[searching]) & (aim <= high[searching]) & ~halving[searching]
        aim = np.where(inside, aim, (low[searching] + high[searching]) / 2)
        settled = inside & (np.abs(aim - place[searching]) <= exact[searching])
        settled |= high[searching] - low[searching] <= exact[searching]
        before = np.abs(short[searching])
        place[searching] = aim
        searching, aim, before = searching[~settled], aim[~settled], before[~settled]
        if not len(searching):
            break
        short[searching], slope[searching] = curves.short_of(searching, aim)
        # Between an end that excludes too little and one that excludes enough, the wider is safe.
        lost = np.isnan(short[searching])
        place[searching[lost]] = high[searching[lost]]
        below = short[searching] < 0
        low[searching] = np.where(below, aim, low[searching])
        high[searching] = np.where(below | lost, high[searching], aim)
        halving[searching] = ~(np.abs(short[searching]) <= before / 2) & ~halving[searching]
        searching = searching[~lost]
    place[searching] = high[searching]
    return place[which]

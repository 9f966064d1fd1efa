"""Intervals for strengths that are finite only by Firth's penalty: where the penalised likelihood falls too far.

Such a likelihood is far from symmetric, and standard errors say little about it (Heinze & Schemper 2002, Stat. Med.
21:2409). Votes that are alike make it fall less: the drop is divided by the contrast's design effect, as in the
adjusted likelihood ratio (Rotnitzky & Jewell 1990, Biometrika 77:485).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from arena.ranking.firth import Constraint, Penalised
from arena.ranking.fitted import ModelFit
from arena.ranking.newton import ConvergenceError

Floats = NDArray[np.float64]

_EXACT = 1e-5
# Odds of 10^11 to 1. Farther out the information is singular in double precision, and nobody needs to know more.
_FARTHEST = 25.0


def profile_interval(fit: ModelFit, contrast: Floats, *, reach: float) -> tuple[float, float]:
    """Values of contrast (K [+ 1] [+ 1]) @ parameters at which the signed root of the likelihood ratio is +- reach.

    reach: the quantile wanted, times the square root of the design effect

    An end that lies more than 25 log units away is infinite: so few votes exclude nothing on that side.
    """
    penalised = Penalised(fit.problem, fit.penalised)
    direction = contrast @ fit.problem.expansion
    best = float(direction @ fit.parameters)
    top = penalised.value(fit.parameters)
    error = float(np.sqrt(contrast @ fit.bread @ contrast))
    ends = []
    for sign in (-1.0, 1.0):
        place = fit.parameters
        # The search asks again for the ends it is given, and must hear the same: from elsewhere it may climb less far.
        known = {0.0: -reach}

        def short_of(distance: float, sign: float = sign, known: dict[float, float] = known) -> float:
            nonlocal place
            if distance not in known:
                place = penalised.maximise(place, within=Constraint(direction, best + sign * distance))
                known[distance] = float(np.sqrt(max(2 * (top - penalised.value(place)), 0.0))) - reach
            return known[distance]

        ends.append(best + sign * _end(short_of, min(reach * error, _FARTHEST), exact=_EXACT * max(1.0, error)))
    return ends[0], ends[1]


def _end(short_of: Callable[[float], float], far: float, *, exact: float) -> float:
    """The distance at which nothing is short; infinite where that is too far to be seen."""
    try:
        while (short := short_of(far)) < 0 and far < _FARTHEST:
            far = min(2 * far, _FARTHEST)
    except ConvergenceError:
        # So far out that the information is all rounding, and still nothing is excluded on this side.
        return np.inf
    if short < 0:
        return np.inf
    try:
        return float(brentq(short_of, 0.0, far, xtol=exact))
    except ConvergenceError:
        # Between an end that excludes too little and one that excludes enough, the wider is safe.
        return far

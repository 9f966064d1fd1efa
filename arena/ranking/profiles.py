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

_DOUBLINGS = 40
_EXACT = 1e-5


def profile_interval(fit: ModelFit, contrast: Floats, *, reach: float) -> tuple[float, float]:
    """Values of contrast (K [+ 1] [+ 1]) @ parameters at which the signed root of the likelihood ratio is +- reach.

    reach: the quantile wanted, times the square root of the design effect

    An end is infinite where the likelihood has not fallen so far when doubles can no longer tell it from flat: with two
    raters the quantile is 12.7, and no number of log units that means anything lies so far out.
    """
    penalised = Penalised(fit.problem, fit.penalised)
    direction = contrast @ fit.problem.expansion
    best = float(direction @ fit.parameters)
    top = penalised.value(fit.parameters)
    error = float(np.sqrt(contrast @ fit.bread @ contrast))
    ends = []
    for sign in (-1.0, 1.0):
        place = fit.parameters

        def short_of(distance: float, sign: float = sign) -> float:
            nonlocal place
            place = penalised.maximise(place, within=Constraint(direction, best + sign * distance))
            return float(np.sqrt(max(2 * (top - penalised.value(place)), 0.0))) - reach

        ends.append(best + sign * _root(short_of, reach * error, exact=_EXACT * max(1.0, error)))
    return ends[0], ends[1]


def _root(short_of: Callable[[float], float], far: float, *, exact: float) -> float:
    """The distance at which nothing is missing any more; infinite where none is found."""
    try:
        for _ in range(_DOUBLINGS):
            if short_of(far) > 0:
                return float(brentq(short_of, 0.0, far, xtol=exact))
            far *= 2
    except ConvergenceError:
        pass
    return float("inf")

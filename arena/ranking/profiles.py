"""Intervals for strengths that are finite only by Firth's penalty: where the penalised likelihood falls too far.

Such a likelihood is far from symmetric, and standard errors say little about it (Heinze & Schemper 2002, Stat. Med.
21:2409). Votes that are alike make it fall less: the drop is divided by the contrast's design effect, as in the
adjusted likelihood ratio (Rotnitzky & Jewell 1990, Biometrika 77:485).
"""

from __future__ import annotations

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

        far = reach * error
        for _ in range(_DOUBLINGS):
            if short_of(far) > 0:
                break
            far *= 2
        else:
            raise ConvergenceError("the penalised likelihood does not fall far enough for an interval")
        ends.append(best + sign * float(brentq(short_of, 0.0, far, xtol=_EXACT * max(1.0, error))))
    return ends[0], ends[1]

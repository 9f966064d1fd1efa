"""A second opinion on the point estimate: choix's I-LSR on the half wins of the same votes."""

from __future__ import annotations

import choix
import numpy as np

from arena.ranking.models import ConvergenceError, fit_model
from arena.ranking.tallies import Tallies

# Above this the two are no longer the same estimate; choix stops when its steps are smaller than a billionth of this.
LARGEST_DIFFERENCE = 1e-6


def choix_difference(tallies: Tallies) -> float | None:
    """The largest difference of a log strength between our half-win estimate and choix's, both without side bias.

    By choix's ilsr_pairwise_dense (Maystre & Grossglauser 2015, NeurIPS), board by board. None where there is nothing
    to compare: no maximum-likelihood estimate exists, or choix gives up, as it may on thin graphs.
    """
    try:
        ours = fit_model(tallies, side_bias=False, estimator="mle")
    except ConvergenceError:
        return None
    points = tallies.half_wins()
    differences = []
    for members in ours.members():
        try:
            theirs = choix.ilsr_pairwise_dense(points[np.ix_(members, members)], tol=1e-12)
        except (RuntimeError, ValueError, np.linalg.LinAlgError):
            return None
        differences.append(np.abs(theirs - theirs.mean() - ours.strengths[members]).max())
    found = float(max(differences, default=np.nan))
    return found if np.isfinite(found) else None

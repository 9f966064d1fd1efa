"""What one vote with each outcome says about a fit: slopes and bends of its log-likelihood, looked up by pair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from arena.ranking import likelihoods
from arena.ranking.fitted import ModelFit
from arena.ranking.tallies import BOTH_BAD, LEFT, OUTCOMES, RIGHT, TIE

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ScoreTables:
    """What a vote with each outcome in each ordered pair says, float (K, K, 4): zero where it is not counted.

    eta, phi: slopes of its log-likelihood; bend_eta, bend_cross, bend_phi: its negative second derivatives
    """

    eta: Floats
    phi: Floats
    bend_eta: Floats
    bend_cross: Floats
    bend_phi: Floats

    @classmethod
    def of(cls, fit: ModelFit) -> ScoreTables:
        problem = fit.problem
        strengths = problem.strengths(fit.parameters)
        eta = strengths[:, None] - strengths[None, :] + (fit.side_bias or 0.0)
        level = np.array(fit.parameters[-1] if problem.has_ties else 0.0)
        chance = likelihoods.chances(problem.link, eta, level)
        slope = likelihoods.slopes(problem.link, chance, level)
        bend = likelihoods.bends(problem.link, chance, level)
        counted = counted_outcomes(fit)

        def table(parts: tuple[Floats, Floats, Floats]) -> Floats:
            whole = np.zeros((*eta.shape, OUTCOMES))
            for outcome, part in zip((LEFT, TIE, RIGHT, BOTH_BAD), (*parts, parts[1]), strict=True):
                if outcome in counted:
                    whole[:, :, outcome] = part
            return whole

        return cls(
            eta=table((slope[0].eta, slope[1].eta, slope[2].eta)),
            phi=table((slope[0].phi, slope[1].phi, slope[2].phi)),
            bend_eta=table((bend[0].eta, bend[1].eta, bend[2].eta)),
            bend_cross=table((bend[0].cross, bend[1].cross, bend[2].cross)),
            bend_phi=table((bend[0].phi, bend[1].phi, bend[2].phi)),
        )


def counted_outcomes(fit: ModelFit) -> set[int]:
    """Those that the fit has seen."""
    counted = {LEFT, TIE, RIGHT, BOTH_BAD}
    if fit.both_bad == "drop":
        counted -= {BOTH_BAD}
    return counted - {TIE, BOTH_BAD} if fit.ties == "drop" else counted

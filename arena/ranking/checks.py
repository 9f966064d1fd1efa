"""What to look at before believing a ranking: thin links, cycles, and shares against the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, ndtri

from arena.ranking import likelihoods
from arena.ranking.fitted import ModelFit, PairTable
from arena.ranking.intervals import Intervals
from arena.ranking.tallies import Tallies

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
Flags = NDArray[np.bool_]

# A model that the votes contradict this clearly is said to fit badly.
_MISFIT = 0.01


@dataclass(frozen=True, eq=False)
class Linkage:
    """How thinly the votes link the contenders of one component.

    members:            intp (k,)
    second_eigenvalue:  of the graph's Laplacian weighted by information: 0 where it falls apart
    largest_resistance: variance of the least known difference if votes were independent and never tied
    loosest:            the two contenders of that difference
    """

    members: Integers
    second_eigenvalue: float
    largest_resistance: float
    loosest: tuple[int, int]

    def sentence(self, names: Sequence[str]) -> str:
        one, other = (names[contender] for contender in self.loosest)
        return (
            f"The least sure difference is that between {one} and {other}: its standard error would be "
            f"{self.largest_resistance**0.5:.2g} log units even if votes were independent."
        )


def linkage(fit: ModelFit) -> list[Linkage]:
    """One for each component of two or more."""
    problem, here = fit.problem, fit.parameters[:, None]
    bend = likelihoods.expected_bend(problem.link, problem.chances(here), problem.tie_levels(here))
    whole = np.zeros((fit.contenders, fit.contenders))
    weights = (problem.totals * bend.eta)[:, 0]
    np.add.at(whole, (problem.left, problem.right), -weights)
    whole += whole.T
    np.fill_diagonal(whole, -whole.sum(axis=1))
    found = []
    for members in fit.members():
        values, vectors = np.linalg.eigh(whole[np.ix_(members, members)])
        tied = values > 1e-12 * values[-1]
        inverse = (vectors[:, tied] / values[tied]) @ vectors[:, tied].T
        own = np.diagonal(inverse)
        resistance = own[:, None] + own[None, :] - 2 * inverse
        one, other = divmod(int(np.triu(resistance).argmax()), len(members))
        second = float(max(values[1], 0.0))
        # Covariates compare contenders whom no chain of votes links.
        largest = float(resistance[one, other]) if tied.sum() == len(members) - 1 else float("inf")
        found.append(Linkage(members, second, largest, (int(members[one]), int(members[other]))))
    return found


def share_intervals(table: PairTable, *, level: float = 0.95, design_effect: float = 1.0) -> Intervals:
    """(P,) observed share of the left contender with Wilson's interval (1927, JASA 22:209) on votes / design effect."""
    size = table.votes / design_effect
    share = table.observed_share
    z = float(ndtri((1 + level) / 2))
    middle = (share + z**2 / (2 * size)) / (1 + z**2 / size)
    reach = z / (1 + z**2 / size) * np.sqrt(share * (1 - share) / size + z**2 / (4 * size**2))
    return Intervals(share, middle - reach, middle + reach)


def lack_of_fit(fit: ModelFit, *, design_effect: float = 1.0) -> float | None:
    """P-value of the deviance, divided by the design effect (Rao & Scott 1981, JASA 76:221).

    None where no degree of freedom is left, or where over a fifth of the cells expect fewer than five votes.
    """
    goodness = fit.goodness()
    expected = fit.pairs.expected[:, [0, 1, 2] if fit.problem.has_ties else [0, 2]]
    if goodness.degrees_of_freedom < 1 or (expected < 5).mean() > 0.2:
        return None
    return float(chdtrc(goodness.degrees_of_freedom, goodness.deviance / design_effect))


def contradictions(fit: ModelFit, tallies: Tallies, names: Sequence[str], *, design_effect: float = 1.0) -> list[str]:
    """What in the votes no ranking can say, in sentences: supported cycles, and a deviance that is too large.

    names are those of all K contenders; a design effect that is unknown or below 1 counts as 1
    """
    effect = max(design_effect, 1.0) if np.isfinite(design_effect) else 1.0
    sentences = [
        f"{names[one]} beats {names[other]}, {names[other]} beats {names[third]} and {names[third]} beats "
        f"{names[one]}: no ranking can say so."
        for one, other, third in supported_cycles(tallies, design_effect=effect, drop_both_bad=fit.both_bad == "drop")
    ]
    chance = lack_of_fit(fit, design_effect=effect)
    if chance is not None and chance < _MISFIT:
        shown = f"p = {chance:.3f}" if chance >= 0.001 else "p < 0.001"
        sentences.append(
            f"The model fits badly by the deviance ({shown}): differences rest on a form that does not hold."
        )
    return sentences


def supported_cycles(
    tallies: Tallies, *, level: float = 0.95, design_effect: float = 1.0, drop_both_bad: bool = False
) -> list[tuple[int, int, int]]:
    """(i, j, k) where i surely beats j, j surely beats k and k surely beats i, each i the smallest of its three.

    "Surely" holds for all pairs that met at once (Bonferroni); a tie counts half and makes the bound conservative.
    """
    points = tallies.half_wins(drop_both_bad=drop_both_bad)
    votes = points + points.T
    pairs = max(1, int(np.count_nonzero(np.triu(votes))))
    z = float(ndtri(1 - (1 - level) / (2 * pairs)))
    surely = points - votes / 2 > z * np.sqrt(votes * design_effect) / 2
    return _cycles(surely)


def circular_triads(tallies: Tallies, *, drop_both_bad: bool = False) -> int:
    """How many threes of contenders beat one another in a circle, by majority (Kendall & Babington Smith 1940).

    Biometrika 31:324. Far more than supported_cycles finds: a majority of one vote counts.
    """
    points = tallies.half_wins(drop_both_bad=drop_both_bad)
    beats = (points > points.T).astype(np.int64)
    return int(np.trace(beats @ beats @ beats)) // 3


def _cycles(beats: Flags) -> list[tuple[int, int, int]]:
    return [
        (int(first), int(second), int(third))
        for first, second in zip(*np.nonzero(beats), strict=True)
        for third in np.flatnonzero(beats[second] & beats[:, first])
        if first < min(second, third)
    ]

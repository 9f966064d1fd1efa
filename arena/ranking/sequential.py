"""Stopping when the votes suffice: statements that stay true however often one looks.

An interval made for a planned number of votes names a false winner sooner or later if one looks again and again. Two
that do not:

asymptotic confidence sequence of any estimate (Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas 2024, Ann. Stat. 52:2613):
    estimate +- se sqrt(n) sqrt(2 (n rho^2 + 1) / (n^2 rho^2) log(sqrt(n rho^2 + 1) / alpha))
with n the clusters seen (raters, not votes) and se the error that takes them for the independent units;

betting (Waudby-Smith & Ramdas 2024, JRSS-B 86:1), exact for one pair: a gambler who stakes the share lambda of their
money on each of raters x_1, x_2, ... in [-1, 1] owns prod(1 + lambda x_r) in the end. If raters are even on average no
gain is to be expected, so that the money ever reaches 1 / alpha with probability alpha at most (Ville 1939).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import lambertw, logsumexp

from arena.ranking.intervals import Intervals
from arena.ranking.precision import Precision
from arena.ranking.tallies import BOTH_BAD, LEFT, NOBODY, RIGHT, TIE, Votes

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
Settle = Literal["first", "mean"]

# Below so many clusters the normal approximation behind the confidence sequence has not set in.
FEWEST_CLUSTERS: Final = 20
# Nobody waits for more.
_MOST_CLUSTERS: Final = 1e9
# Stakes of the gambler, of either sign and alike: small ones find small differences, large ones large differences soon.
_STAKES: Final = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)


def mixture_scale(planned: float, *, level: float = 0.95) -> float:
    """rho for which the confidence sequence is narrowest after the planned number of clusters."""
    if planned <= 0:
        raise ValueError(f"the planned number of clusters must be above 0, not {planned}")
    alpha = _alpha(level)
    # The square of the width has its least value where log(1 + u) - 2 log(alpha) = u, u = n rho^2.
    best = -float(np.real(lambertw(-(alpha**2) / np.e, k=-1))) - 1
    return float(np.sqrt(best / planned))


def reach(clusters: Floats, *, planned: float, level: float = 0.95) -> Floats:
    """How many standard errors the confidence sequence reaches to each side after so many clusters (any shape)."""
    scaled = np.asarray(clusters, dtype=np.float64) * mixture_scale(planned, level=level) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        errors: Floats = np.sqrt((scaled + 1) / scaled * (np.log1p(scaled) - 2 * np.log(_alpha(level))))
    return errors


def confidence_sequence(
    estimate: Floats, error: Floats, clusters: Floats, *, planned: float, level: float = 0.95
) -> Intervals:
    """Intervals that hold for all numbers of clusters at once, with the level as their probability.

    estimate, error, clusters: any shapes that broadcast; error is the standard error by cluster after so many clusters
    planned:                   clusters at which they shall be narrowest; it may be passed without harm

    NaN below FEWEST_CLUSTERS.
    """
    early = np.asarray(clusters) < FEWEST_CLUSTERS
    width = np.where(early, np.nan, error * reach(clusters, planned=planned, level=level))
    return Intervals(estimate, estimate - width, estimate + width)


def difference_sequences(precision: Precision, *, planned: float, level: float = 0.95) -> Intervals:
    """(K, K) log strength of the row less that of the column: valid for all pairs of a component and at all times.

    The level is shared out among the pairs (Bonferroni). planned and the clusters seen are effective numbers of raters
    or prompts, whichever is smaller; of votes where they are independent.
    """
    strengths = precision.fit.strengths
    gaps = strengths[:, None] - strengths[None, :]
    low, high = np.full_like(gaps, np.nan), np.full_like(gaps, np.nan)
    for members in precision.fit.members():
        each = 1 - _alpha(level) / (len(members) * (len(members) - 1) / 2)
        block = np.ix_(members, members)
        clusters = np.array(precision.effective[members[0]])
        ends = confidence_sequence(
            gaps[block], precision.difference_errors[block], clusters, planned=planned, level=each
        )
        low[block], high[block] = ends.low, ends.high
    np.fill_diagonal(gaps, np.nan)
    return Intervals(gaps, low, high)


def settled(differences: Intervals) -> int | None:
    """The contender surely stronger than every other by intervals (K, K) of differences; None as long as none is.

    With intervals that are valid at all times one may stop as soon as this names somebody.
    """
    others = np.eye(len(differences.low), dtype=bool)
    winners = np.flatnonzero(((differences.low > 0) | others).all(axis=1))
    return int(winners[0]) if len(winners) == 1 and len(others) > 1 else None


def clusters_to_tell(gap: float, error: float, clusters: float, *, planned: float, level: float = 0.95) -> float:
    """After how many clusters a confidence sequence leaves out 0, if the gap stays and its error shrinks as their root.

    gap, error: of now, after so many clusters. Infinite without a gap; a projection and no promise.
    """
    if not (gap > 0 and clusters > 0):
        return float("inf")

    def short(count: float) -> float:
        return float(error * np.sqrt(clusters / count) * reach(np.array(count), planned=planned, level=level)) - gap

    low = high = float(FEWEST_CLUSTERS)
    while short(high) > 0:
        low, high = high, 2 * high
        if high > _MOST_CLUSTERS:
            return float("inf")
    return low if low == high else float(brentq(short, low, high))


@dataclass(frozen=True, eq=False)
class EProcess:
    """The gambler's money after each rater, as a natural logarithm.

    log_wealth: (n,); above log(1 / alpha) at any time, the pair is not even, with at most alpha chance of error
    ahead:      (n,) which of the two the gambler then believes in: +1 the first, -1 the other, 0 neither
    """

    log_wealth: Floats
    ahead: Integers

    @property
    def e_value(self) -> float:
        """Evidence against an even pair, as of now: the odds at which a fair bet against it would have paid."""
        return float(np.exp(self.log_wealth[-1])) if len(self.log_wealth) else 1.0

    @property
    def p_value(self) -> float:
        """Valid at whatever time it is read: one over the most the gambler ever owned."""
        return float(np.exp(-max(self.log_wealth.max(initial=0.0), 0.0)))

    def stops_at(self, *, level: float = 0.95, pairs: int = 1) -> int | None:
        """After how many raters the pair was decided first; pairs shares the risk out among so many."""
        over = np.flatnonzero(self.log_wealth >= np.log(pairs / _alpha(level)))
        return int(over[0]) + 1 if len(over) else None


def bet(results: Floats, stakes: Sequence[float] = _STAKES) -> EProcess:
    """Bet on results (n,) in [-1, 1] in the order of their coming, one per rater: +1 is for the first of the pair."""
    if len(results) and (np.isnan(results).any() or np.abs(results).max() > 1):
        raise ValueError("results to bet on lie between -1 and 1")
    if not all(0 < stake < 1 for stake in stakes):
        raise ValueError("stakes are shares of the gambler's money, between 0 and 1")
    each = np.array(stakes)[:, None]
    with_first = np.log1p(each * results).cumsum(axis=1)
    with_other = np.log1p(-each * results).cumsum(axis=1)
    wealth = logsumexp(np.concatenate([with_first, with_other]), axis=0) - np.log(2 * len(stakes))
    lead = logsumexp(with_first, axis=0) - logsumexp(with_other, axis=0)
    return EProcess(wealth, np.sign(lead).astype(np.intp))


def rater_results(votes: Votes, first: int, other: int, *, settle: Settle = "first") -> Floats:
    """(R,) of each rater who compared these two, in the order of their first such vote: +1 for first, -1, 0 a tie.

    settle: "first" takes a rater's first vote on the pair, so that one may look at any time; "mean" the mean of all of
            them, which says more, but is a fair bet only for raters who have finished
    """
    if votes.rater is None:
        raise ValueError("one bet per rater needs to know the raters")
    forward = (votes.left == first) & (votes.right == other)
    rows = np.flatnonzero((forward | ((votes.left == other) & (votes.right == first))) & (votes.rater != NOBODY))
    value = np.array([1.0, 0.0, -1.0, 0.0])[[LEFT, TIE, RIGHT, BOTH_BAD]][votes.outcome[rows]]
    value = np.where(forward[rows], value, -value)
    _, place, number = np.unique(votes.rater[rows], return_index=True, return_inverse=True)
    mean = np.bincount(number, weights=value) / np.maximum(np.bincount(number), 1)
    ordered: Floats = value[np.sort(place)] if settle == "first" else mean[np.argsort(place)]
    return ordered


def discoveries(e_values: NDArray[np.floating[Any]], *, rate: float = 0.05) -> NDArray[np.bool_]:
    """(n,) which of n pairs are not even, at most this share of them wrongly on average (e-BH).

    Wang & Ramdas 2022, JRSS-B 84:822: holds however the e-values hang together, as those of pairs of one study do.
    """
    count = len(e_values)
    order = np.argsort(-np.asarray(e_values), kind="stable")
    enough = np.flatnonzero(np.asarray(e_values)[order] * np.arange(1, count + 1) * rate >= count)
    found = np.zeros(count, dtype=bool)
    found[order[: enough[-1] + 1 if len(enough) else 0]] = True
    return found


def _alpha(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(f"the level of an interval lies between 0 and 1, not at {level}")
    return 1 - level

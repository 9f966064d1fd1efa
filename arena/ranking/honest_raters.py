"""How honest raters vote whose tastes differ: the null hypothesis that every test for rigged votes is held against.

Honest raters share strengths, and each has deviations of their own:
    logit P(rater r prefers left) = theta_left + u_r,left - theta_right - u_r,right + side + s_r
    u ~ N(0, taste^2) for each contender, s ~ N(0, lean^2)
Both deviations are estimated from medians over raters, so that a minority of riggers hardly moves them. What is
expected of a rater comes from the others' votes, and its error counts as one more deviation. Ties are left out
everywhere: under Davidson's model decisive votes follow Bradley-Terry by themselves. A test that knows no tastes flags
honest people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import norm

from arena.ranking.cluster_scores import ScoredVotes
from arena.ranking.jackknife import Jackknife
from arena.ranking.models import fit_model
from arena.ranking.tallies import LEFT, NOBODY, RIGHT, Votes, tally

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
Labels = NDArray[np.integer[Any]]
# (draws, n) whether the left one was preferred -> (draws,)
Statistic = Callable[[NDArray[Any]], Floats]

# Nobody's tastes are quite the same; few raters' votes can look so by chance.
LEAST_TASTE: Final = 0.25
LEAST_LEAN: Final = 0.15
_MOST: Final = 3.0
_MEDIAN: Final = 0.4549  # of a squared standard normal number
# Scores with less information are so far from normal that their median says little.
_LEAST_INFORMATION: Final = 1.0
# Only what looks unlikely by the normal law is looked at closely.
_LOOK_CLOSER: Final = 0.02
# Draws of each further look, and the p-value above which no closer one follows.
_LOOKS: Final = ((1_000, 0.008), (4_000, 0.003), (20_000, 1.0))
# So many deviations off, no tail is long enough to matter.
_BEYOND_DOUBT: Final = 6.0
_MOST_DRAWN: Final = 1_000  # of so many votes a sum is normal enough
_CHUNK: Final = 500_000  # numbers in a temporary array


@dataclass(frozen=True, eq=False)
class OwnVotes:
    """The n decisive votes of one rater, or of one cohort, with what everybody else's votes say of them.

    rater:       label of the rater, or number of the cohort
    left, right: intp (n,) contenders
    won:         (n,) 1 where the left one was preferred, else 0
    gap:         (n,) log odds of that, by the others' votes
    member:      intp (n,), whose vote each is: 0 for all of a rater, numbers of the raters in a cohort
    """

    rater: int
    left: Integers
    right: Integers
    won: Floats
    gap: Floats
    member: Integers

    @property
    def chance(self) -> Floats:
        """(n,) chance that the left one is preferred."""
        return np.asarray(expit(self.gap), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Score:
    """One weighted sum of surprises: observed less expected, its standard deviation under the null, one-sided p-value.

    p is of a sum so large or larger; half of the chance of the very sum counts (mid-p), because counts are coarse.
    """

    excess: float
    deviation: float
    p: float


@dataclass(frozen=True, eq=False)
class HonestRaters:
    """The null hypothesis.

    taste:  standard deviation of a rater's own strengths around everybody's
    lean:   standard deviation of a rater's own side bias
    error:  (K, K) covariance of the strengths' estimates
    """

    taste: float
    lean: float
    error: Floats

    def score(self, own: OwnVotes, weight: Floats, *, rng: np.random.Generator) -> Score:
        """The sum of weight (n,) times surprise. Looked at by simulation where the normal law finds it unlikely."""
        chance = own.chance
        excess = float(weight @ (own.won - chance))
        deviation = float(np.sqrt(self._variance(own, weight, chance)))
        if deviation == 0:
            return Score(0.0, 0.0, 1.0)
        p = float(norm.sf(excess / deviation))
        if p < _LOOK_CLOSER and excess < _BEYOND_DOUBT * deviation and len(own.won) <= _MOST_DRAWN:
            p = self._drawn(own, weight, rng)
        return Score(excess, deviation, p)

    def _variance(self, own: OwnVotes, weight: Floats, chance: Floats) -> float:
        bend = weight * chance * (1 - chance)
        spread = 0.0
        for member in range(int(own.member.max(initial=0)) + 1):
            part = bend * (own.member == member)
            pull = _pull(own, part, len(self.error))
            spread += self.taste**2 * float(pull @ pull) + self.lean**2 * float(part.sum()) ** 2
        pull = _pull(own, bend, len(self.error))
        return float(weight @ bend) + spread + float(pull @ self.error @ pull)

    def share_above(self, own: OwnVotes, told: Integers, statistic: Statistic, *, rng: np.random.Generator) -> float:
        """How often these votes (places `told` among own) would give the statistic they gave, or a larger one.

        A few draws at first: most of what looks unlikely at a glance is not on a second look.
        """
        excess, p = float(statistic(own.won[None, told])[0]), 1.0
        for draws, enough in _LOOKS:
            p = self._share_above(own, told, statistic, excess, draws, rng)
            if p > enough:
                break
        return p

    def _drawn(self, own: OwnVotes, weight: Floats, rng: np.random.Generator) -> float:
        told, base = np.flatnonzero(weight), float(weight @ own.chance)  # votes without weight need no draws
        return self.share_above(own, told, lambda won: won @ weight[told] - base, rng=rng)

    def _share_above(
        self,
        own: OwnVotes,
        told: Integers,
        statistic: Statistic,
        excess: float,
        draws: int,
        rng: np.random.Generator,
    ) -> float:
        known, members = len(self.error), int(own.member.max(initial=0)) + 1
        root = _root(self.error).astype(np.float32)
        member, left, right = own.member[told], own.left[told], own.right[told]
        prior = own.gap[told].astype(np.float32)
        above, step = 0.5, max(1, _CHUNK // max(len(told), members * known))
        for first in range(0, draws, step):
            size = min(step, draws - first)
            shared = rng.standard_normal((size, known), dtype=np.float32) @ root.T
            taste = rng.standard_normal((size, members, known), dtype=np.float32)
            taste = np.float32(self.taste) * taste + shared[:, None, :]
            lean = np.float32(self.lean) * rng.standard_normal((size, members), dtype=np.float32)
            gap = prior + taste[:, member, left] - taste[:, member, right] + lean[:, member]
            found = statistic(rng.random(gap.shape, dtype=np.float32) < expit(gap))
            same = np.isclose(found, excess, rtol=0, atol=1e-9)
            above += np.count_nonzero((found > excess) & ~same) + same.sum() / 2
        return float(above / (draws + 1))


def _pull(own: OwnVotes, part: Floats, known: int) -> Floats:
    """(K,) how a sum moves with each contender's strength."""
    return np.asarray(
        np.bincount(own.left, weights=part, minlength=known) - np.bincount(own.right, weights=part, minlength=known)
    )


def _root(covariance: Floats) -> Floats:
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0)))


def own_votes(votes: Votes, *, trusted: NDArray[np.bool_]) -> tuple[list[OwnVotes], Floats]:
    """Each rater's decisive votes beside what the trusted ones among the others say; and that estimate's covariance.

    trusted: (n,) votes that may speak for everybody; what a rater adds themselves is taken off again
    """
    if votes.rater is None:
        raise ValueError("rigged votes cannot be looked for without knowing the raters")
    kept = _rows(votes, np.flatnonzero(trusted & _is_decisive(votes)))
    fit = fit_model(tally(kept))
    strengths, side = np.nan_to_num(fit.strengths), fit.side_bias or 0.0
    covariance = np.nan_to_num(fit.covariance[: fit.contenders, : fit.contenders])
    scored = ScoredVotes(fit, kept)
    partition = scored.partition("rater")
    added = Jackknife(scored, partition).shifts()
    inside = np.unique(kept.rater[partition.of_vote < partition.count]) if kept.rater is not None else np.empty(0)
    place = {int(label): number for number, label in enumerate(inside)}
    found = []
    for rater, rows in rows_of_raters(votes):
        own, lean = strengths, side
        if rater in place:
            change = added[place[rater]]
            own, lean = strengths - change[: fit.contenders], side - (change[fit.contenders] if fit.side_bias else 0.0)
        left, right = votes.left[rows].astype(np.intp), votes.right[rows].astype(np.intp)
        won = (votes.outcome[rows] == LEFT) * 1.0
        member = np.zeros(len(rows), dtype=np.intp)
        found.append(OwnVotes(rater, left, right, won, own[left] - own[right] + lean, member))
    return found, covariance


def rows_of_raters(votes: Votes) -> Iterator[tuple[int, Integers]]:
    """Each rater's label and the places of their decisive votes, in order; raters of ties alone have none."""
    if votes.rater is None:
        return
    order = np.argsort(votes.rater, kind="stable")
    labels, first = np.unique(votes.rater[order], return_index=True)
    decisive = _is_decisive(votes)
    for label, rows in zip(labels.tolist(), np.split(order, first[1:]), strict=True):
        if label != NOBODY:
            yield label, rows[decisive[rows]]


def estimate_null(raters: list[OwnVotes], error: Floats) -> HonestRaters:
    """How far honest raters differ, from the median over raters (and contenders) of their squared surprises."""
    known = len(error)
    by_taste, by_lean = [], []
    for own in raters:
        chance = own.chance
        surprise, bend = own.won - chance, chance * (1 - chance)
        for contender in range(known):
            sign = (own.left == contender) * 1.0 - (own.right == contender)
            pull = _pull(own, sign * bend, known)
            base = float((sign**2) @ bend)
            if base >= _LEAST_INFORMATION:
                by_taste.append((float(sign @ surprise) ** 2, base + float(pull @ error @ pull), float(pull @ pull)))
        if bend.sum() >= _LEAST_INFORMATION:
            by_lean.append((float(surprise.sum()) ** 2, float(bend.sum()), float(bend.sum()) ** 2))
    return HonestRaters(
        max(LEAST_TASTE, _deviation_of(np.array(by_taste))), max(LEAST_LEAN, _deviation_of(np.array(by_lean))), error
    )


def _deviation_of(scores: Floats) -> float:
    """The deviation under which squared scores (m, 3: square, variance without it, its share) have the right median."""
    if len(scores) < 8:
        return 0.0
    square, base, share = scores.T

    def surplus(variance: float) -> float:
        return float(np.median(square / (base + variance * share))) - _MEDIAN

    if surplus(0.0) <= 0:
        return 0.0
    return float(np.sqrt(brentq(surplus, 0.0, _MOST**2))) if surplus(_MOST**2) < 0 else _MOST


def _is_decisive(votes: Votes) -> NDArray[np.bool_]:
    return np.asarray((votes.outcome == LEFT) | (votes.outcome == RIGHT))


def _rows(votes: Votes, rows: Integers) -> Votes:
    def part(column: NDArray[Any] | None) -> NDArray[Any] | None:
        return None if column is None else column[rows]

    return Votes(
        *(votes.left[rows], votes.right[rows], votes.outcome[rows], votes.contenders),
        rater=part(votes.rater),
        prompt=part(votes.prompt),
        weight=part(votes.weight),
    )

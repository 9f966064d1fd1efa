"""How raters vote: with whom they agree, how steadily, and which side they favour; and a board that trusts them by it.

Reports on raters compare each with what the others' votes predict. Crowd-BT (Chen, Bennett, Collins-Thompson & Horvitz
2013, WSDM) weighs raters by how often they seem to mean what they say:
    P(rater r prefers left) = k_r sigma(eta) + (1 - k_r) sigma(-eta),    k_r ~ Beta(10, 1)
The prior breaks the mirror between k and 1 - k. It is a sensitivity analysis, not the board: it moves the estimate
towards the majority's taste.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, xlogy
from scipy.stats import false_discovery_control, norm

from arena.ranking import likelihoods
from arena.ranking.cluster_scores import ScoredVotes
from arena.ranking.fitted import ModelFit
from arena.ranking.jackknife import Jackknife
from arena.ranking.models import ConvergenceError, fit_model
from arena.ranking.tallies import BOTH_BAD, LEFT, NOBODY, RIGHT, TIE, Tallies, Votes

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
Labels = NDArray[np.integer[Any]]

_POINTS: Final = np.array([1.0, 0.5, 0.0, 0.5])[np.argsort([LEFT, TIE, RIGHT, BOTH_BAD])]
_PRIOR: Final = (10.0, 1.0)
_START: Final = 0.9
_MOST_ROUNDS: Final = 2000
_INNER: Final = 3
# Change of the log-posterior per vote that ends the rounds.
_STILL: Final = 1e-9


@dataclass(frozen=True, eq=False)
class RaterQuality:
    """R raters; all predictions for a rater are of the fit without their votes.

    raters:         (R,) labels
    votes:          (R,) votes that the fit counts
    agreement:      (R,) share of decisive votes for the one that the others' votes favour; NaN without any
    expected:       (R,) what it would be for a rater who votes as the fit says
    agreement_p:    (R,) p-value of agreeing so little if they did
    infit:          (R,) squared surprise over its expectation: 1 as the fit says, above 1 more erratic, below 1 more
                    predictable
    better_than_coin: (R,) log-likelihood per vote above that of a coin; below 0 the votes look like noise
    left_share:     (R,) share of decisive votes for the left side; NaN without any
    left_p:         (R,) two-sided p-value of that share against what the fit expects of these pairs
    repeats:        (R,) pairs of votes on the same prompt and contenders
    self_agreement: (R,) share of these with the same answer; NaN without any
    """

    raters: Labels
    votes: Integers
    agreement: Floats
    expected: Floats
    agreement_p: Floats
    infit: Floats
    better_than_coin: Floats
    left_share: Floats
    left_p: Floats
    repeats: Integers
    self_agreement: Floats

    def flagged(self, *, rate: float = 0.05) -> NDArray[np.bool_]:
        """(R,) raters who agree less or lean to a side more than chance allows, at this false discovery rate.

        Benjamini & Hochberg 1995, JRSS-B 57:289. Unusual taste is a reason too: look before leaving anybody out.
        """
        if not len(self.raters):
            return np.zeros(0, dtype=bool)
        # Either reason will do, so the smaller of both counts twice.
        both = np.minimum(2 * np.fmin(self.agreement_p, self.left_p), 1.0)
        found: NDArray[np.bool_] = false_discovery_control(np.nan_to_num(both, nan=1.0)) <= rate
        return found


@dataclass(frozen=True, eq=False)
class CrowdFit:
    """fit: strengths and side bias; raters: (R,) labels; reliability: (R,) k of each; rounds: of the EM algorithm."""

    fit: ModelFit
    raters: Labels
    reliability: Floats
    log_posterior: float
    rounds: int


@dataclass(frozen=True, eq=False)
class CrowdProblem:
    """Votes summed by rater and ordered pair, for the crowd model; ties are half a vote for each side.

    rater, left, right: intp (n,), raters by number; for_left, for_right: (n,) points
    raters:             how many; contenders: how many
    prior:              a and b of the Beta prior
    """

    rater: Integers
    left: Integers
    right: Integers
    for_left: Floats
    for_right: Floats
    raters: int
    contenders: int
    prior: tuple[float, float] = _PRIOR

    def log_posterior(self, strengths: Floats, side: float, reliability: Floats) -> float:
        """Up to a constant."""
        chance = self._chance(strengths, side, reliability)
        own, other = self.prior
        return float(
            (xlogy(self.for_left, chance) + xlogy(self.for_right, 1 - chance)).sum()
            + (xlogy(own - 1, reliability) + xlogy(other - 1, 1 - reliability)).sum()
        )

    def gradient(self, strengths: Floats, side: float, reliability: Floats) -> tuple[Floats, float, Floats]:
        """In strengths (K,), side and reliability (R,)."""
        chance = self._chance(strengths, side, reliability)
        win = self._win(strengths, side)
        slope = self.for_left / chance - self.for_right / (1 - chance)
        by_gap = slope * (2 * reliability[self.rater] - 1) * win * (1 - win)
        by_strength = np.zeros(self.contenders)
        np.add.at(by_strength, self.left, by_gap)
        np.subtract.at(by_strength, self.right, by_gap)
        own, other = self.prior
        by_reliability = np.bincount(self.rater, slope * (2 * win - 1), self.raters) + (own - 1) / reliability
        # At the end of the range the term of a prior that is flat there is 0 / 0.
        if other != 1:
            by_reliability = by_reliability - (other - 1) / (1 - reliability)
        return by_strength, float(by_gap.sum()), by_reliability

    def meant(self, strengths: Floats, side: float, reliability: Floats) -> Tallies:
        """What was meant, in expectation: votes for either side as masses."""
        for_left, for_right = self._honest(self._win(strengths, side), reliability)
        pair, size = self.left * self.contenders + self.right, self.contenders**2
        mass = np.zeros((size, 4))
        mass[:, LEFT] = np.bincount(pair, for_left + self.for_right - for_right, size)
        mass[:, RIGHT] = np.bincount(pair, for_right + self.for_left - for_left, size)
        cells = mass.reshape(self.contenders, self.contenders, 4)
        return Tallies((cells > 0).astype(np.int64), cells)

    def trusted(self, strengths: Floats, side: float, reliability: Floats, *, rounds: int) -> Floats:
        """(R,) reliabilities after so many rounds of EM with the strengths held."""
        win = self._win(strengths, side)
        own, other = self.prior
        votes = np.bincount(self.rater, self.for_left + self.for_right, self.raters) + own + other - 2
        for _ in range(rounds):
            for_left, for_right = self._honest(win, reliability)
            reliability = (np.bincount(self.rater, for_left + for_right, self.raters) + own - 1) / votes
        return reliability

    def _honest(self, win: Floats, reliability: Floats) -> tuple[Floats, Floats]:
        """(n,) of the points for left and for right, those that were meant."""
        kept = reliability[self.rater]
        chance = kept * win + (1 - kept) * (1 - win)
        return self.for_left * kept * win / chance, self.for_right * kept * (1 - win) / (1 - chance)

    def _win(self, strengths: Floats, side: float) -> Floats:
        """(n,) chance that who means it prefers the left one."""
        table = expit(strengths[:, None] - strengths[None, :] + side)
        return np.asarray(table[self.left, self.right], dtype=np.float64)

    def _chance(self, strengths: Floats, side: float, reliability: Floats) -> Floats:
        kept, win = reliability[self.rater], self._win(strengths, side)
        return np.asarray(kept * win + (1 - kept) * (1 - win), dtype=np.float64)


def rater_quality(fit: ModelFit, votes: Votes) -> RaterQuality:
    """What can be said of each rater who voted. Raises ValueError where votes carry no raters."""
    if votes.rater is None:
        raise ValueError("the quality of raters needs to know who they are")
    scored = ScoredVotes(fit, votes)
    partition = scored.partition("rater")
    count = partition.count
    rows = np.flatnonzero(partition.of_vote < count)
    rater = partition.of_vote[rows]
    labels = np.unique(votes.rater[rows])
    predicted, variance = _predictions(scored, rows, rater)
    points = _POINTS[votes.outcome[rows]]

    def summed(values: Floats) -> Floats:
        return np.asarray(np.bincount(rater, weights=values, minlength=count), dtype=np.float64)

    decisive = points != 0.5
    number = np.bincount(rater, minlength=count)
    told = summed(decisive * 1.0)
    likely = np.maximum(predicted, 1 - predicted)
    # Where the others favour nobody, either answer agrees by half.
    agreed = np.where(predicted == 0.5, 0.5, (points > 0.5) == (predicted > 0.5)) * decisive
    spread = np.sqrt(summed(decisive * predicted * (1 - predicted)))
    with np.errstate(invalid="ignore", divide="ignore"):
        agreement, expected = summed(agreed) / told, summed(likely * decisive) / told
        left_share = summed((points > 0.5) * decisive) / told
        low = (agreement - expected) * told / spread
        lean = (left_share * told - summed(predicted * decisive)) / spread
        infit = summed((points - predicted) ** 2) / summed(variance)
    gain = xlogy(points, predicted) + xlogy(1 - points, 1 - predicted) + np.log(2)
    repeats, same = _repeats(votes, rows, rater, count)
    return RaterQuality(
        labels, number, agreement, expected, norm.cdf(low), infit, summed(gain) / np.maximum(number, 1), left_share,
        2 * norm.sf(np.abs(lean)), repeats,
        np.divide(same, repeats, out=np.full(count, np.nan), where=repeats > 0),
    )  # fmt: skip


def fit_crowd(votes: Votes, *, side_bias: bool = True, prior: tuple[float, float] = _PRIOR) -> CrowdFit:
    """Strengths and reliabilities at the largest posterior, by EM. Votes of nobody are left out.

    Raises ConvergenceError where the rounds do not come to an end.
    """
    if prior[0] <= 1 or prior[1] < 1:
        raise ValueError("the prior of reliability must favour 1: Beta(a, b) with a above 1 and b of 1 or more")
    problem, labels = _crowd(votes, prior)
    reliability = np.full(problem.raters, _START)
    total = float((problem.for_left + problem.for_right).sum())
    strengths, side, before = np.zeros(problem.contenders), 0.0, -np.inf
    for rounds in range(1, _MOST_ROUNDS + 1):
        fit = fit_model(problem.meant(strengths, side, reliability), side_bias=side_bias)
        strengths, side = np.nan_to_num(fit.strengths), fit.side_bias or 0.0
        # Reliabilities given strengths cost next to nothing, and the strengths a fit.
        reliability = problem.trusted(strengths, side, reliability, rounds=_INNER)
        now = problem.log_posterior(strengths, side, reliability)
        if rounds > 2 and abs(now - before) <= _STILL * total:
            return CrowdFit(fit, labels, reliability, now, rounds)
        before = now
    raise ConvergenceError(f"reliabilities had not come to rest after {_MOST_ROUNDS} rounds")


def _crowd(votes: Votes, prior: tuple[float, float]) -> tuple[CrowdProblem, Labels]:
    if votes.rater is None:
        raise ValueError("reliabilities need to know the raters")
    rows = np.flatnonzero(votes.rater != NOBODY)
    if not len(rows):
        raise ValueError("there are no votes of raters")
    labels, rater = np.unique(votes.rater[rows], return_inverse=True)
    known = votes.contenders
    code = (rater * known + votes.left[rows].astype(np.intp)) * known + votes.right[rows]
    cells, number = np.unique(code, return_inverse=True)
    weight = np.ones(len(rows)) if votes.weight is None else votes.weight[rows]
    points = _POINTS[votes.outcome[rows]]
    for_left, for_right = np.zeros(len(cells)), np.zeros(len(cells))
    np.add.at(for_left, number, weight * points)
    np.add.at(for_right, number, weight * (1 - points))
    rater, pair = np.divmod(cells, known * known)
    left, right = np.divmod(pair, known)
    return CrowdProblem(rater, left, right, for_left, for_right, len(labels), known, prior), labels


def _predictions(scored: ScoredVotes, rows: Integers, rater: Integers) -> tuple[Floats, Floats]:
    """(n,) expected points of the left side and their variance, by the fit without the rater of each vote."""
    fit, votes = scored.fit, scored.votes
    problem, known = fit.problem, fit.contenders
    # What a rater's votes have added comes off.
    added = Jackknife(scored, scored.partition("rater")).shifts()
    strengths = np.nan_to_num(fit.strengths) - added[:, :known]
    gap = strengths[rater, votes.left[rows]] - strengths[rater, votes.right[rows]]
    if problem.side:
        gap = gap + (fit.side_bias or 0.0) - added[rater, known]
    level = np.array(fit.parameters[-1] if problem.has_ties else 0.0)
    left, tie, right = likelihoods.chances(problem.link, gap, level)
    predicted: Floats = np.clip((1 + left - right) / 2, 1e-12, 1 - 1e-12)
    if problem.has_ties:
        return predicted, np.maximum(left + tie / 4 - predicted**2, 1e-12)
    # Half wins know no ties: each takes a quarter off the variance, but far apart that would be too much.
    whole = predicted * (1 - predicted)
    ties = fit.counts[:, :, 1].sum() / fit.counts.sum()
    return predicted, np.maximum(whole - ties / 4, whole * fit.dispersion / 4)


def _repeats(votes: Votes, rows: Integers, rater: Integers, count: int) -> tuple[Integers, Integers]:
    """(R,) pairs of votes of one rater on the same prompt and contenders, and how many of them are the same answer."""
    if votes.prompt is None:
        return np.zeros(count, dtype=np.intp), np.zeros(count, dtype=np.intp)
    left, right = votes.left[rows].astype(np.intp), votes.right[rows].astype(np.intp)
    answer = np.where(left < right, _POINTS[votes.outcome[rows]], 1 - _POINTS[votes.outcome[rows]])
    prompts, prompt = np.unique(votes.prompt[rows], return_inverse=True)
    known = votes.contenders
    unit = ((rater * len(prompts) + prompt) * known + np.minimum(left, right)) * known + np.maximum(left, right)
    pairs = []
    for keys in (unit, unit * 3 + (2 * answer).astype(np.intp)):
        _, place, number = np.unique(keys, return_index=True, return_counts=True)
        pairs.append(np.bincount(rater[place], weights=number * (number - 1) / 2, minlength=count).astype(np.intp))
    return pairs[0], pairs[1]

"""The same tests for cohorts: raters who came together, by one link or in one hour, few votes each but many in all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from arena.ranking.honest_raters import HonestRaters, Integers, OwnVotes, Statistic, estimate_null, own_votes
from arena.ranking.rigging import ALPHA, LOG_ODDS_RIGGED, Findings, Suspicion, rigged_weight
from arena.ranking.tallies import Votes

Floats = NDArray[np.float64]

FEWEST_MEMBERS: Final = 5
# Among honest members: a cohort is held against one in which this share pushes a contender.
PUSHING_SHARE: Final = 0.25


def suspicious_cohorts(votes: Votes, cohorts: Mapping[int, int], *, alpha: float = ALPHA) -> Findings:
    """Cohorts whose pooled votes push a contender, disagree or lean to a side; `Suspicion.rater` numbers the cohort.

    Whether all of them push a contender, or some of them among honest ones, is tested at half of the level each.

    cohorts: rater label -> number of the cohort. Each cohort is judged by a fit without any of its votes. Cohorts of
    fewer than five raters, and one that is everybody, are left out: there is nothing to hold them against.
    """
    if votes.rater is None:
        raise ValueError("rigged votes cannot be looked for without knowing the raters")
    number = np.array([cohorts.get(int(rater), -1) for rater in votes.rater], dtype=np.intp)
    rng = np.random.default_rng(0)
    found: list[Suspicion] = []
    taste = lean = 0.0
    for cohort in np.unique(number[number >= 0]).tolist():
        inside = number == cohort
        members = len(np.unique(votes.rater[inside]))
        if members < FEWEST_MEMBERS or inside.all():
            continue
        raters, error = own_votes(votes, trusted=~inside)
        own_labels = set(np.unique(votes.rater[inside]).tolist())
        null = estimate_null([own for own in raters if own.rater not in own_labels], error)
        taste, lean = max(taste, null.taste), max(lean, null.lean)
        pooled = _pooled([own for own in raters if own.rater in own_labels], cohort)
        found += _suspicions(pooled, null, alpha=alpha, rng=rng)
    return Findings(tuple(found), taste, lean)


def _pooled(members: list[OwnVotes], cohort: int) -> OwnVotes:
    who = np.concatenate([np.full(len(own.won), number, dtype=np.intp) for number, own in enumerate(members)])
    left, right, won, gap = (
        np.concatenate([getattr(own, name) for own in members]) for name in ("left", "right", "won", "gap")
    )
    return OwnVotes(cohort, left, right, won, gap, who)


def _suspicions(own: OwnVotes, null: HonestRaters, *, alpha: float, rng: np.random.Generator) -> Iterator[Suspicion]:
    count, known = len(own.won), len(null.error)
    if not count:
        return
    for contender in range(known):
        sign = (own.left == contender) * 1.0 - (own.right == contender)
        about = np.flatnonzero(sign)
        if not (met := len(about)):
            continue
        all_of_them = null.score(own, sign * rigged_weight(own, sign), rng=rng).p
        some_of_them = null.share_above(own, about, _some_push(own, about, sign[about]), rng=rng)
        if (p := 2 * min(all_of_them, some_of_them)) < alpha / known:
            wins = float((sign > 0) @ own.won + (sign < 0) @ (1 - own.won)) / met
            expected = float((sign > 0) @ own.chance + (sign < 0) @ (1 - own.chance)) / met
            yield Suspicion("target", own.rater, p, wins, expected, met, contender)
    agreement = null.score(own, -own.gap, rng=rng)
    if agreement.p < alpha:
        told = float(own.gap @ own.won) / count
        yield Suspicion("disagrees", own.rater, agreement.p, told, told + agreement.excess / count, count)
    sides = min(null.score(own, sign * np.ones(count), rng=rng).p for sign in (1, -1))
    if 2 * sides < alpha:
        yield Suspicion("one side", own.rater, 2 * sides, float(own.won.mean()), float(own.chance.mean()), count)


def _some_push(own: OwnVotes, about: Integers, sign: Floats) -> Statistic:
    """The log likelihood of a cohort in which some members push a contender and the others vote like everybody.

    It sees a few who push among many who do not: they stand out one by one, where the sum over all hardly moves.
    about: places of the votes on that contender; sign: 1 where it is the left one of these, -1 where the right one
    """
    order = np.argsort(own.member[about], kind="stable")
    member, pushed, gap = own.member[about][order], sign[order] * LOG_ODDS_RIGGED, own.gap[about][order]
    first = np.flatnonzero(np.diff(member, prepend=-1))
    lost = np.add.reduceat(_log_lost(pushed) - _log_lost(gap), first)

    def likelihood(won: NDArray[np.bool_]) -> Floats:
        ratio = np.add.reduceat(won[:, order] * (pushed - gap), first, axis=1) + lost
        return np.asarray(np.logaddexp(np.log(1 - PUSHING_SHARE), np.log(PUSHING_SHARE) + ratio).sum(axis=1))

    return likelihood


def _log_lost(log_odds: Floats) -> Floats:
    """log(1 - chance)."""
    return -np.logaddexp(0, log_odds)

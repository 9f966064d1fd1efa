"""The same tests for cohorts: raters who came together, by one link or in one hour, few votes each but many in all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from arena.ranking.honest_raters import HonestRaters, OwnVotes, estimate_null, own_votes
from arena.ranking.rigging import ALPHA, Findings, Suspicion, rigged_weight
from arena.ranking.tallies import Votes

Floats = NDArray[np.float64]

FEWEST_MEMBERS: Final = 5


def suspicious_cohorts(votes: Votes, cohorts: Mapping[int, int], *, alpha: float = ALPHA) -> Findings:
    """Cohorts whose pooled votes push a contender, disagree or lean to a side; `Suspicion.rater` numbers the cohort.

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
        met = int(np.count_nonzero(sign))
        score = null.score(own, sign * rigged_weight(own, sign), rng=rng)
        if met and score.p < alpha / known:
            wins = float((sign > 0) @ own.won + (sign < 0) @ (1 - own.won)) / met
            expected = float((sign > 0) @ own.chance + (sign < 0) @ (1 - own.chance)) / met
            yield Suspicion("target", own.rater, score.p, wins, expected, met, contender)
    agreement = null.score(own, -own.gap, rng=rng)
    if agreement.p < alpha:
        told = float(own.gap @ own.won) / count
        yield Suspicion("disagrees", own.rater, agreement.p, told, told + agreement.excess / count, count)
    sides = min(null.score(own, sign * np.ones(count), rng=rng).p for sign in (1, -1))
    if 2 * sides < alpha:
        yield Suspicion("one side", own.rater, 2 * sides, float(own.won.mean()), float(own.chance.mean()), count)

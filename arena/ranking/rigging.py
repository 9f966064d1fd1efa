"""Tests for rigged votes, one rater or one cohort at a time. They raise suspicion for a person to judge, nothing more.

target:      prefers one contender far more often than others' votes and tastes allow
target, with others: the same with less evidence, where a crowd pushes the same contender
against:     the same, against one contender
disagrees:   goes against what the others' votes say (random clicking, inversion, pushing ranks on every pair)
one side:    prefers one side of the screen
too fast:    answers faster than two pictures can be looked at
gold:        fails ballots with a known answer
gold and disagrees: both together, each too weak alone (Stouffer)
The attacks are those of Min et al. 2025 (arXiv 2501.17858) and Huang et al. 2025 (arXiv 2501.07493); what a rater's
honest taste may do is in `honest_raters`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, norm

from arena.ranking.honest_raters import HonestRaters, OwnVotes, estimate_null, own_votes
from arena.ranking.tallies import Votes

Floats = NDArray[np.float64]

ALPHA: Final = 0.001
TOO_FAST_SECONDS: Final = 1.0
# An honest rater in a hurry answers so many of the easiest pairs within a second.
HONEST_FAST_SHARE: Final = 0.1
# The careful slip too: a known answer is missed so often at least.
LEAST_GOLD_ERROR: Final = 0.05
FEWEST_VOTES: Final = 8
"""Of a rater, and about a contender: fewer are not looked at."""
LOG_ODDS_RIGGED: Final = 2.5  # who pushes a contender lets it win about 92 % of the time
LEAST_WEIGHT: Final = 0.25
NEAR: Final = 0.01
FALSE_SHARE: Final = 0.05
_ROUNDS: Final = 4


@dataclass(frozen=True)
class Suspicion:
    """One test that one rater (or cohort) failed.

    statistic: observed and expected in the unit of the test (a share, a sum of log odds), over `count` votes
    contender: the one that is preferred or held down, where the test is about one
    """

    kind: str
    rater: int
    p: float
    observed: float
    expected: float
    count: int
    contender: int | None = None


@dataclass(frozen=True)
class Gold:
    """How many ballots with a known answer a rater was given, and how many answers were right."""

    asked: int
    right: int


@dataclass(frozen=True, eq=False)
class Findings:
    """What was found, and how far honest raters were taken to differ (standard deviations in log odds)."""

    suspicions: tuple[Suspicion, ...]
    taste: float
    lean: float

    @property
    def raters(self) -> frozenset[int]:
        """Labels of the raters (or cohorts) under suspicion."""
        return frozenset(each.rater for each in self.suspicions)


def suspicious_raters(
    votes: Votes,
    *,
    seconds: Floats | None = None,
    gold: Mapping[int, Gold] | None = None,
    alpha: float = ALPHA,
) -> Findings:
    """Every test of every rater at the level alpha. Raises ValueError where votes carry no raters.

    seconds: (n,) how long each vote took, NaN where unknown; gold: by rater label

    Who is under suspicion does not speak for everybody in the next round, for at most four rounds: a large minority
    of riggers would else set the standard by which they are judged.
    """
    rng = np.random.default_rng(0)
    trusted = np.ones(len(votes), dtype=bool)
    known: frozenset[int] | None = None
    findings = Findings((), 0.0, 0.0)
    for _ in range(_ROUNDS):
        if not trusted.any():
            break
        raters, error = own_votes(votes, trusted=trusted)
        honest = [own for own in raters if known is None or own.rater not in known]
        null = estimate_null(honest, error)
        rates = gold_error(gold or {}, without=known or frozenset())
        found = [
            each
            for own in raters
            for each in _suspicions(own, null, (gold or {}).get(own.rater), rates, alpha=alpha, rng=rng)
        ]
        found += _pushing([each for own in raters for each in _about_contenders(own, null, rng=rng)], alpha)
        found += too_fast(votes, seconds, alpha) if seconds is not None else []
        findings = Findings(tuple(sorted(found, key=lambda each: (each.rater, each.p))), null.taste, null.lean)
        if findings.raters == known:
            break
        known = findings.raters
        trusted = ~np.isin(_labels(votes), list(known))
    return findings


def suspicions_about(
    own: OwnVotes,
    null: HonestRaters,
    *,
    rng: np.random.Generator,
    gold: Gold | None = None,
    miss: float = LEAST_GOLD_ERROR,
    alpha: float = ALPHA,
) -> list[Suspicion]:
    """The tests of one rater who is alone under suspicion; speed apart, for that needs no other raters.

    miss: how often honest raters miss a known answer
    """
    tests = list(_about_contenders(own, null, rng=rng))
    return [*_suspicions(own, null, gold, miss, alpha=alpha, rng=rng), *_pushing(tests, alpha)]


def gold_error(gold: Mapping[int, Gold], *, without: frozenset[int] = frozenset()) -> float:
    """How often the raters who are under no suspicion miss a known answer; a few pseudo-answers keep it off 0."""
    kept = [each for rater, each in gold.items() if rater not in without]
    missed, asked = sum(each.asked - each.right for each in kept), sum(each.asked for each in kept)
    # Half of the raters at most can be careless: their median bounds what a crowd of clickers does to the mean.
    shares = [1 - each.right / each.asked for each in kept if each.asked]
    middle = float(np.median(shares)) if shares else 0.0
    mean = (missed + 1) / (asked + 20)
    return float(min(0.5, max(LEAST_GOLD_ERROR, min(mean, middle + 0.1))))


def _suspicions(
    own: OwnVotes, null: HonestRaters, gold: Gold | None, miss: float, *, alpha: float, rng: np.random.Generator
) -> Iterator[Suspicion]:
    by_gold = _gold_p(gold, miss) if gold else 1.0
    if gold and by_gold < alpha:
        yield Suspicion("gold", own.rater, by_gold, gold.right / gold.asked, 1 - miss, gold.asked)
    if len(own.won) < FEWEST_VOTES:
        return
    count = len(own.won)
    agreement = null.score(own, -own.gap, rng=rng)
    told, expected = float(own.gap @ own.won) / count, float(own.gap @ own.chance) / count
    if agreement.p < alpha:
        yield Suspicion("disagrees", own.rater, agreement.p, told, expected, count)
    elif alpha <= by_gold < 1:
        both = float(norm.sf((norm.isf(by_gold) + norm.isf(agreement.p)) / np.sqrt(2)))
        if both < alpha:
            yield Suspicion("gold and disagrees", own.rater, both, told, expected, count)
    ones = np.ones(count)
    sides = min(null.score(own, sign * ones, rng=rng).p for sign in (1, -1))
    if 2 * sides < alpha:
        yield Suspicion("one side", own.rater, 2 * sides, float(own.won.mean()), float(own.chance.mean()), count)


def _about_contenders(own: OwnVotes, null: HonestRaters, *, rng: np.random.Generator) -> Iterator[Suspicion]:
    """For each contender that the rater met often enough, whether it is pushed or held down, suspicious or not."""
    if len(own.won) < FEWEST_VOTES:
        return
    for contender in range(len(null.error)):
        sign = (own.left == contender) * 1.0 - (own.right == contender)
        met = int(np.count_nonzero(sign))
        if met < FEWEST_VOTES:  # one slip on a pair that everybody else agrees about would be enough
            continue
        wins = float((sign > 0) @ own.won + (sign < 0) @ (1 - own.won))
        expected = float((sign > 0) @ own.chance + (sign < 0) @ (1 - own.chance))
        kind, way = ("target", 1.0) if wins > expected else ("against", -1.0)
        p = null.score(own, way * sign * rigged_weight(own, way * sign), rng=rng).p
        yield Suspicion(kind, own.rater, p, wins / met, expected / met, met, contender)


def _pushing(tests: list[Suspicion], alpha: float) -> Iterator[Suspicion]:
    """Who pushes a contender, at the level alpha; who holds one down, with the level shared out among contenders.

    Where far more raters than chance allows seem to push the same one, each needs less evidence: those are added that
    Benjamini & Hochberg's rule takes at one false in twenty.
    """
    contenders = {each.contender for each in tests}
    for contender in contenders:
        own = sorted((each for each in tests if each.contender == contender), key=lambda each: each.p)
        pushed = [each for each in own if each.kind == "target"]
        yield from (each for each in own if each.kind == "against" and each.p < alpha / len(contenders))
        near = sum(each.p < NEAR for each in pushed)
        # Two alone are no crowd, and are left to their own tests.
        is_crowd = near > 2 and float(binom.sf(near - 1, len(own), NEAR)) < alpha / len(contenders)
        ranks = [rank for rank, each in enumerate(pushed, 1) if each.p <= FALSE_SHARE * rank / len(own)]
        taken = max(ranks, default=0) if is_crowd else 0
        for rank, each in enumerate(pushed, 1):
            if each.p < alpha:
                yield each
            elif rank <= taken:
                yield replace(each, kind="target, with others")


def rigged_weight(own: OwnVotes, sign: Floats) -> Floats:
    """(n,) weight of each vote in the likelihood ratio of "wins nearly always" to what the others' votes say.

    A win over a stronger contender tells more than one over a weaker one, which honest raters would give as well.
    """
    return np.maximum(LOG_ODDS_RIGGED - sign * own.gap, LEAST_WEIGHT)


def _gold_p(gold: Gold, miss: float) -> float:
    """Chance of so many misses or more, half of that of the very number."""
    missed = gold.asked - gold.right
    return float(binom.sf(missed, gold.asked, miss) + binom.pmf(missed, gold.asked, miss) / 2)


def too_fast(votes: Votes, seconds: Floats, alpha: float = ALPHA) -> list[Suspicion]:
    """Raters with more answers within a second than one in a hurry gives. seconds: (n,), NaN where unknown."""
    labels = _labels(votes)
    known = ~np.isnan(seconds)
    found = []
    for rater in np.unique(labels[known]).tolist():
        own = seconds[known & (labels == rater)]
        fast = int(np.count_nonzero(own < TOO_FAST_SECONDS))
        p = float(binom.sf(fast - 1, len(own), HONEST_FAST_SHARE))
        if len(own) >= FEWEST_VOTES and p < alpha:
            found.append(Suspicion("too fast", rater, p, fast / len(own), HONEST_FAST_SHARE, len(own)))
    return found


def _labels(votes: Votes) -> NDArray[np.intp]:
    if votes.rater is None:
        raise ValueError("rigged votes cannot be looked for without knowing the raters")
    return np.asarray(votes.rater, dtype=np.intp)

"""How often the tests for rigged votes find attackers, and how often they suspect honest raters.

python -m benchmarks.detectors --worlds 10

One world: 60 honest raters with 40 to 160 votes on 8 contenders, tastes of the stated deviation, prompts, ties and side
habits of their own. Attackers are tested one by one, as if each were the only one there: ten of each kind and number of
votes in each world. The tests see votes, times and gold answers, and none of the numbers by which they were made
(benchmarks/crowds.py). Then many at once: what exclusion does to the bias of a contender that 12 raters push together,
what random votes do, and cohorts of sessions with 10 votes that push one contender, alone or among honest ones.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from typing import Final

import numpy as np
from scipy.stats import spearmanr

from arena.ranking.cohorts import suspicious_cohorts
from arena.ranking.honest_raters import estimate_null, own_votes
from arena.ranking.models import fit_model
from arena.ranking.rigging import gold_error, suspicions_about, suspicious_raters, too_fast
from arena.ranking.tallies import Votes, tally
from benchmarks.crowds import ATTACKS, STRENGTHS, TARGET, Crowd, crowd

TASTES: Final = (0.35, 0.7, 0.0)
SIZES: Final = (20, 40, 80, 160)
HONEST_SIZES: Final = (40, 40, 60, 80, 160)
ATTACKERS: Final = 10


def world(taste: float, seed: int) -> Crowd:
    """Honest raters only."""
    found = Crowd(taste, np.random.default_rng(seed))
    for number in range(60):
        found.add("honest", HONEST_SIZES[number % len(HONEST_SIZES)], gold=8)
    return found


def detection(worlds: int, taste: float) -> None:
    print(f"\n### Share of attackers found, taste sd {taste}, {ATTACKERS * worlds} a cell, 8 gold answers each\n")
    print("| attacker | " + " | ".join(f"{size} votes" for size in SIZES) + " |")
    print("|---|" + "---|" * len(SIZES))
    found: Counter[tuple[str, int]] = Counter()
    kinds: Counter[str] = Counter()
    suspected = 0
    for seed in range(worlds):
        known = world(taste, seed=seed)
        alone = suspicious_raters(known.votes(), seconds=np.array(known.seconds), gold=known.gold)
        suspected += len(alone.raters)
        kinds.update(each.kind for each in alone.suspicions)
        found.update(_found(known))
    for attack in ATTACKS:
        shares = [f"{found[attack, size] / (ATTACKERS * worlds):.2f}" for size in SIZES]
        print(f"| {attack} | " + " | ".join(shares) + " |")
    reasons = ", ".join(f"{kind} {number}" for kind, number in kinds.most_common())
    share = 100 * suspected / (worlds * 60)
    print(f"\nOf {worlds * 60:,} honest raters with 40 to 160 votes {share:.2f} % were suspected: {reasons or 'none'}.")


def _found(known: Crowd) -> Iterator[tuple[str, int]]:
    """Kind and number of votes of each attacker that is found among these honest raters."""
    who = {known.add(kind, size, gold=8): (kind, size) for kind in ATTACKS for size in SIZES for _ in range(ATTACKERS)}
    votes, rng = known.votes(), np.random.default_rng(0)
    rater, seconds = np.asarray(votes.rater), np.array(known.seconds)
    everybody, error = own_votes(votes, trusted=~np.isin(rater, list(who)))
    null = estimate_null([own for own in everybody if own.rater not in who], error)
    miss = gold_error(known.gold, without=frozenset(who))
    fast = {each.rater for each in too_fast(votes, seconds)}
    for own in everybody:
        if own.rater in who and (
            own.rater in fast or suspicions_about(own, null, rng=rng, gold=known.gold[own.rater], miss=miss)
        ):
            yield who[own.rater]


def cohorts(worlds: int, taste: float = 0.35) -> None:
    print(f"\n### Cohorts of sessions with 10 votes each, taste sd {taste}, {worlds} worlds a row\n")
    print("| pushing sessions | honest sessions beside them | cohort found |\n|---|---|---|")
    for pushing, beside in ((60, 0), (60, 60), (60, 180), (20, 0), (20, 60), (0, 60), (0, 180)):
        hits = 0
        for seed in range(worlds):
            known = crowd(taste=taste, seed=seed, gold=0)
            inside = [known.add("target", 10) for _ in range(pushing)] + [
                known.add("honest", 10) for _ in range(beside)
            ]
            hits += bool(suspicious_cohorts(known.votes(), dict.fromkeys(inside, 0)).suspicions)
        print(f"| {pushing} | {beside} | {hits / worlds:.2f} |", flush=True)


def exclusion(worlds: int, taste: float = 0.35) -> None:
    print(f"\n### 12 pushing raters with 80 votes among 60 honest ones with 50, taste sd {taste}, {worlds} worlds\n")
    caught, before, after, wrongly = (np.array(column) for column in zip(*_exclusions(worlds, taste), strict=True))
    cut = 100 * (1 - after.mean() / before.mean())
    print(f"Caught {100 * caught.mean():.0f} % of them and suspected {100 * wrongly.mean():.1f} % of the honest ones.")
    print(f"The target's bias falls from {before.mean():+.3f} to {after.mean():+.3f} log odds: {cut:.0f} % less.")
    print(f"In {100 * np.mean(after <= 0.4 * before):.0f} % of the worlds it falls by 60 % or more.")


def _exclusions(worlds: int, taste: float) -> Iterator[tuple[float, float, float, float]]:
    for seed in range(worlds):
        known = crowd(taste=taste, seed=seed)
        riggers = [known.add("target", 80, gold=8) for _ in range(12)]
        votes = known.votes()
        findings = suspicious_raters(votes, seconds=np.array(known.seconds), gold=known.gold)
        honest = strength_of_target(votes, without=riggers)
        caught = findings.raters & set(riggers)
        yield (
            len(caught) / 12,
            strength_of_target(votes, without=[]) - honest,
            strength_of_target(votes, without=list(findings.raters)) - honest,
            len(findings.raters - set(riggers)) / 60,
        )


def strength_of_target(votes: Votes, *, without: list[int]) -> float:
    """Its log strength where these raters are left out."""
    return float(strengths(votes, without=without)[TARGET])


def strengths(votes: Votes, *, without: list[int]) -> np.ndarray:
    """(K,) of a fit without these raters."""
    kept = ~np.isin(np.asarray(votes.rater), without)
    return fit_model(tally(Votes(votes.left[kept], votes.right[kept], votes.outcome[kept], votes.contenders))).strengths


def spam(worlds: int, taste: float = 0.35) -> None:
    print(f"\n### A quarter of the votes at random, nobody excluded, {worlds} worlds\n")
    order, spread = [], []
    for seed in range(worlds):
        known = crowd(taste=taste, seed=seed)
        for _ in range(20):
            known.add("clicker", 50)
        fitted = strengths(known.votes(), without=[])
        order.append(spearmanr(fitted, STRENGTHS).statistic)
        clean = strengths(known.votes(), without=list(range(60, 80)))
        spread.append(np.std(fitted) / np.std(clean))
    print(f"Rank correlation with the truth {np.mean(order):.3f} (lowest {np.min(order):.3f}).")
    print(f"Strengths spread {np.mean(spread):.2f} times as wide as without.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=10)
    worlds = parser.parse_args().worlds
    detection(worlds, TASTES[0])
    exclusion(worlds)
    spam(worlds)
    cohorts(worlds)
    for taste in TASTES[1:]:
        detection(worlds, taste)


if __name__ == "__main__":
    main()

"""Looking at the votes after every rater: how often a false winner is named, and how many votes stopping early saves.

python -m benchmarks.stopping --worlds 2000

A pair: raters come one by one, each votes 10 times and has a taste of their own (deviation 0.5 of each contender's
strength), a quarter of the votes are ties; one looks after every rater from the 20th to the 300th. "Naive" looks at the
95 % interval for a fixed number of raters; the confidence sequence (narrowest at 100 raters) and the bets are made for
looking. The fixed plan is the fewest raters after which a single look names the right winner in 90 % of the worlds;
savings are against the plan for this very gap, which nobody knows beforehand, and against the cautious plan for 0.2.

Several contenders: four equal ones, 20 votes a rater on uniform pairs, looked at after every 10 raters up to 200, by
the same functions as a study's page.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import t as student

from arena.ranking.intervals import difference_intervals
from arena.ranking.models import fit_model
from arena.ranking.precision import estimate_precision
from arena.ranking.sequential import FEWEST_CLUSTERS, bet, confidence_sequence, difference_sequences, settled
from arena.ranking.tallies import LEFT, RIGHT, TIE, Votes, tally

Floats = NDArray[np.float64]

RATERS: Final = 300
VOTES_EACH: Final = 10
TASTE: Final = 0.5
TIES: Final = 0.25
PLANNED: Final = 100
GAPS: Final = (0.0, 0.2, 0.3, 0.4, 0.6)


@dataclass(frozen=True, eq=False)
class Looks:
    """Who is named after each rater in one world, int (RATERS,): +1 the first contender, -1 the other, 0 nobody."""

    naive: NDArray[np.intp]
    sequence: NDArray[np.intp]
    betting: NDArray[np.intp]


def look(seed: int, gap: float) -> Looks:
    """One world of a pair whose first contender is stronger by the gap."""
    rng = np.random.default_rng(seed)
    own = gap + rng.normal(0, TASTE * np.sqrt(2), RATERS)
    tied = rng.binomial(VOTES_EACH, TIES, RATERS)
    points = rng.binomial(VOTES_EACH - tied, expit(own)) + tied / 2
    number = np.arange(1.0, RATERS + 1)
    share = np.clip(points.cumsum() / (number * VOTES_EACH), 1e-9, 1 - 1e-9)
    # Raters vote equally often, so that the score of each is what they gave less the mean of all so far.
    squares = (points**2).cumsum() - number * (share * VOTES_EACH) ** 2
    error = np.sqrt(np.maximum(squares, 0) * number / np.maximum(number - 1, 1)) / (
        number * VOTES_EACH * share * (1 - share)
    )
    estimate = logit(share)
    fixed = student.ppf(0.975, np.maximum(number - 1, 1)) * error
    early = number < FEWEST_CLUSTERS
    naive = np.where(early, 0, np.sign(estimate) * (np.abs(estimate) > fixed)).astype(np.intp)
    found = confidence_sequence(estimate, error, number, planned=PLANNED)
    sequence = (found.low > 0).astype(np.intp) - (found.high < 0).astype(np.intp)
    bets = bet(2 * points / VOTES_EACH - 1)
    betting = np.where(bets.log_wealth >= -np.log(0.05), bets.ahead, 0)
    return Looks(naive, sequence, betting)


def first_named(named: NDArray[np.intp]) -> tuple[int, int]:
    """(raters until somebody is named first, who); all raters and 0 where nobody is."""
    over = np.flatnonzero(named)
    return (int(over[0]) + 1, int(named[over[0]])) if len(over) else (len(named), 0)


def pairs(worlds: int) -> None:
    print(f"### A pair, {worlds:,} worlds a row, {VOTES_EACH} votes a rater, up to {RATERS} raters\n")
    print(
        "| gap in log odds | look | somebody named, % | wrongly, % | mean raters | plan for this gap | saved, % "
        "| saved of a plan for 0.2, % |"
    )
    print("|---|---|---|---|---|---|---|---|")
    cautious: int | None = None
    for gap in GAPS:
        seen = [look(seed, gap) for seed in range(worlds)]
        single = np.mean([looks.naive > 0 for looks in seen], axis=0)
        enough = np.flatnonzero(single >= 0.9)
        plan = int(enough[0]) + 1 if gap and len(enough) else None
        cautious = cautious or plan
        for name in ("naive", "sequence", "betting"):
            ends = [first_named(getattr(looks, name)) for looks in seen]
            print(_line(gap, name, ends, plan, cautious), flush=True)


def _line(gap: float, name: str, ends: list[tuple[int, int]], *plans: int | None) -> str:
    raters = float(np.mean([number for number, _ in ends]))
    named = 100 * np.mean([who != 0 for _, who in ends])
    wrong = 100 * np.mean([who != 0 if not gap else who < 0 for _, who in ends])
    error = 100 * np.sqrt(wrong / 100 * (1 - wrong / 100) / len(ends))
    saved = ["" if plan is None else f"{100 * (1 - raters / plan):.0f}" for plan in plans]
    cells = [
        f"{gap:.1f}",
        name,
        f"{named:.1f}",
        f"{wrong:.1f} ± {error:.1f}",
        f"{raters:.0f}",
        str(plans[0] or ""),
        *saved,
    ]
    return "| " + " | ".join(cells) + " |"


def equals(seed: int) -> tuple[bool, bool]:
    """Whether a winner of four equal contenders is named at some look: naively, by the sequences."""
    rng = np.random.default_rng(seed)
    raters, each, known = 200, 20, 4
    rater = np.repeat(np.arange(raters), each)
    left = rng.integers(0, known, len(rater))
    right = (left + rng.integers(1, known, len(rater))) % known
    taste = rng.normal(0, TASTE, (raters, known))
    won = np.where(rng.random(len(rater)) < expit(taste[rater, left] - taste[rater, right]), LEFT, RIGHT)
    outcome = np.where(rng.random(len(rater)) < TIES, TIE, won)
    naive = sequence = False
    for seen in range(20, raters + 1, 10):
        rows = slice(0, seen * each)
        votes = Votes(left[rows], right[rows], outcome[rows], known, rater=rater[rows])
        precision = estimate_precision(fit_model(tally(votes)), votes, by=("rater",))
        naive = naive or settled(difference_intervals(precision)) is not None
        sequence = sequence or settled(difference_sequences(precision, planned=100)) is not None
    return naive, sequence


def several(worlds: int) -> None:
    named = 100 * np.array([equals(seed) for seed in range(worlds)]).mean(axis=0)
    error = 100 * np.sqrt(named / 100 * (1 - named / 100) / worlds)
    print(f"\n### Four equal contenders, {worlds:,} worlds, 19 looks\n")
    print("| look | false winner named, % |\n|---|---|")
    for name, share, spread in zip(("naive", "sequence"), named, error, strict=True):
        print(f"| {name} | {share:.1f} ± {spread:.1f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=2000)
    worlds = parser.parse_args().worlds
    pairs(worlds)
    several(max(worlds // 5, 1))


if __name__ == "__main__":
    main()

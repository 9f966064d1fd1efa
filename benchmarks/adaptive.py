"""How many votes adaptive choices of pairs save, against uniform choices and LMArena's rule.

python -m benchmarks.adaptive --worlds 200

Every world: 20 contenders, strengths N(0, 0.7), a quarter ties, votes in rounds of 25. Two errors are followed: the
root mean square error of the 19 gaps between neighbours in the true order, and the share of all pairs that the fitted
order has the wrong way round. Beside them: how many votes each rule needs for what uniform choices have at
the end, between the rounds by interpolation on the logarithms.
"""

from __future__ import annotations

import argparse
from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from arena.ranking.adaptive import Rule, believe, pair_probabilities
from arena.ranking.tallies import LEFT, OUTCOMES, RIGHT, TIE, Tallies

Floats = NDArray[np.float64]

CONTENDERS: Final = 20
VOTES: Final = 3000
ROUND: Final = 25
TIES: Final = 0.25


def errors(seed: int, rule: Rule) -> Floats:
    """(rounds, 2) squared error of the neighbours' gaps, and share of wrong pairs, after each round of one world."""
    rng = np.random.default_rng(seed)
    strengths = np.sort(rng.normal(0, 0.7, CONTENDERS))
    counts = np.zeros((CONTENDERS, CONTENDERS, OUTCOMES), dtype=np.int64)
    first, second = np.triu_indices(CONTENDERS, 1)
    belief = believe(Tallies(counts))
    found = []
    for _ in range(VOTES // ROUND):
        met = counts.sum(axis=2)
        chances = pair_probabilities(belief, rule=rule, votes=(met + met.T).astype(np.float64))[first, second]
        pair = rng.choice(len(chances), size=ROUND, p=chances / chances.sum())
        one, other = first[pair], second[pair]
        swapped = rng.random(ROUND) < 0.5
        left, right = np.where(swapped, other, one), np.where(swapped, one, other)
        decided = np.where(rng.random(ROUND) < expit(strengths[left] - strengths[right]), LEFT, RIGHT)
        outcome = np.where(rng.random(ROUND) < TIES, TIE, decided)
        np.add.at(counts, (left, right, outcome), 1)
        belief = believe(Tallies(counts))
        found.append(_errors(belief.mean, strengths))
    return np.array(found)


def _errors(estimate: Floats, strengths: Floats) -> tuple[float, float]:
    # Ties in a quarter of the votes, whatever the gap, bring half wins nearer to even: the scale is not at stake here.
    scale = float(estimate @ strengths / (strengths @ strengths))
    gaps = np.diff(estimate) / scale - np.diff(strengths)
    first, second = np.triu_indices(CONTENDERS, 1)
    return float((gaps**2).mean()), float((estimate[first] > estimate[second]).mean())


def votes_needed(curve: Floats, goal: float) -> float:
    """After how many votes a falling curve (rounds,) reaches the goal."""
    votes = np.arange(1, len(curve) + 1) * ROUND
    # Its own last value is one that a curve reaches, however it was rounded.
    goal *= 1 + 1e-9
    below = int(np.argmax(curve <= goal))
    if curve[below] > goal:
        return float("nan")
    if below == 0:
        return float(votes[0])
    span = np.log(curve[below - 1] / curve[below])
    share = np.log(curve[below - 1] / goal) / span if span > 0 else 1.0
    return float(np.exp(np.log(votes[below - 1]) + share * np.log(votes[below] / votes[below - 1])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=200)
    worlds = parser.parse_args().worlds
    seen = {rule: np.array([errors(seed, rule) for seed in range(worlds)]) for rule in get_args(Rule)}
    rng = np.random.default_rng(0)
    drawn = rng.integers(worlds, size=(200, worlds))
    print(f"{worlds} worlds, {CONTENDERS} contenders, {VOTES} votes.\n")
    print("| rule | neighbours' gaps, rms error | votes for uniform's | wrong pairs, % | votes for uniform's |")
    print("|---|---|---|---|---|")
    for rule, all_worlds in seen.items():
        cells = [rule]
        for which in (0, 1):
            curve = all_worlds[:, :, which].mean(axis=0)
            goal = float(seen["uniform"][:, -1, which].mean())
            again = [
                votes_needed(all_worlds[rows, :, which].mean(axis=0), float(seen["uniform"][rows, -1, which].mean()))
                for rows in drawn
            ]
            last = float(np.sqrt(curve[-1]) if which == 0 else 100 * curve[-1])
            needed = votes_needed(curve, goal)
            cells += [f"{last:.3f}" if which == 0 else f"{last:.2f}", f"{needed:,.0f} ± {np.nanstd(again):,.0f}"]
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()

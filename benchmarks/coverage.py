"""How often 95 % intervals hold: all pairwise differences of six equal contenders, one by one and all at once.

python -m benchmarks.coverage --worlds 2000
"""

import argparse
from typing import Final, Literal

import numpy as np

from arena.ranking.intervals import Intervals, difference_intervals
from arena.ranking.models import fit_model
from arena.ranking.precision import estimate_precision
from arena.ranking.tallies import tally
from benchmarks.worlds import world

CONTENDERS, VOTES, PROMPTS = 6, 2400, 100
Clusters = tuple[Literal["rater", "prompt"], ...]
BY_RATER: Final[Clusters] = ("rater",)
TWO_WAY: Final[Clusters] = ("rater", "prompt")
DESIGNS: Final = ((0.0, BY_RATER), (0.5, TWO_WAY))
CELLS: Final = [(raters, taste, by) for taste, by in DESIGNS for raters in (20, 60, 240)]


def holds(found: Intervals) -> np.ndarray:
    """Whether each pair's interval contains the true difference, 0."""
    pairs = np.triu_indices(CONTENDERS, 1)
    return np.asarray(((found.low < 0) & (found.high > 0))[pairs])


def main() -> None:
    """Print one row a cell; seeds 0 .. worlds - 1, none dropped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=200)
    worlds = parser.parse_args().worlds
    print(f"{worlds} worlds a cell, {VOTES} votes, {CONTENDERS} equal contenders, 25 % ties, rater taste .5")
    print("raters  clustered by       each pair  all pairs  votes as independent, each pair")
    for raters, prompt_taste, by in CELLS:
        each, together, alone = [], [], []
        for seed in range(worlds):
            size = {"contenders": CONTENDERS, "votes": VOTES, "raters": raters, "prompts": PROMPTS}
            votes = world(seed, prompt_taste=prompt_taste, **size)
            fit = fit_model(tally(votes))
            precision = estimate_precision(fit, votes, by=by)
            each.append(holds(difference_intervals(precision)).mean())
            together.append(holds(difference_intervals(precision, simultaneous=True)).all())
            alone.append(holds(difference_intervals(estimate_precision(fit, by=()))).mean())
        row = f"{raters:6}  {' and '.join(by):17}  {np.mean(each):9.3f}  {np.mean(together):9.3f}  {np.mean(alone):.3f}"
        print(row, flush=True)


if __name__ == "__main__":
    main()

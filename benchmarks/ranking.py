"""Speed of the ranking engine, in CPU time, beside choix on the same half-win matrix. Pin BLAS to one thread.

OPENBLAS_NUM_THREADS=1 python -m benchmarks.ranking [--votes 10000000]
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import choix
import numpy as np

from arena.ranking.models import fit_model
from arena.ranking.precision import estimate_precision
from arena.ranking.replicates import replicate
from arena.ranking.tallies import tally
from benchmarks.worlds import world

RUNS = 5


def milliseconds(act: Callable[[], object], *, runs: int = RUNS) -> float:
    """Median CPU time of several runs."""
    spent = []
    for _ in range(runs):
        start = time.process_time()
        act()
        spent.append(time.process_time() - start)
    return 1000 * median(spent)


def point_fits(votes: int) -> None:
    """From integer columns to strengths; choix starts from our half-win matrix, which is its fastest input."""
    for contenders in (4, 20, 100):
        columns = world(0, contenders=contenders, votes=votes, raters=max(1, votes // 50), prompts=300, spread=0.7)
        wins = tally(columns).half_wins()
        ours = milliseconds(lambda: fit_model(tally(columns), side_bias=False))  # noqa: B023
        counting = milliseconds(lambda: tally(columns))  # noqa: B023
        choix_dense = milliseconds(lambda: choix.ilsr_pairwise_dense(wins, tol=1e-12))  # noqa: B023
        print(
            f"{votes:>10,} votes x {contenders:3} contenders: fit {ours:8.1f} ms, of which counting {counting:8.1f} ms;"
            f" counting and choix dense {counting + choix_dense:8.1f} ms"
        )


def precision_and_replicates() -> None:
    """Sandwich and 1,000 replicates of a million votes."""
    for contenders in (20, 100):
        columns = world(1, contenders=contenders, votes=1_000_000, raters=20_000, prompts=300, spread=0.7)
        tallies = tally(columns)
        fit = fit_model(tallies, side_bias=False)
        acts: dict[str, Callable[[], object]] = {
            "sandwich by rater, CR1": lambda: estimate_precision(fit, columns, by=("rater",), method="cr1"),  # noqa: B023
            "sandwich by rater, CR3": lambda: estimate_precision(fit, columns, by=("rater",)),  # noqa: B023
            "sandwich two-way, CR3": lambda: estimate_precision(fit, columns),  # noqa: B023
            "1000 vote replicates": lambda: replicate(fit, tallies, rng=np.random.default_rng(0)),  # noqa: B023
            "1000 rater replicates": lambda: replicate(fit, columns, rng=np.random.default_rng(0), by=("rater",)),  # noqa: B023
        }
        for name, act in acts.items():
            print(f"1,000,000 votes x {contenders:3} contenders: {name:24} {milliseconds(act, runs=3):8.1f} ms")


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--votes", type=int, default=10_000_000)
    point_fits(parser.parse_args().votes)
    precision_and_replicates()


if __name__ == "__main__":
    main()

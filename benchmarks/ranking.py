"""Speed, exactness and memory of the ranking engine, beside its peers on the same arrays in the same run.

    .venv-peers/bin/python -m benchmarks.ranking [fits|precision|replicates]

Peers come from benchmarks/requirements-peers.txt; without one its rows say so. Times are medians of CPU time over all
threads, each act in turn with the others, so that a busy machine slows both sides; wall time stands beside.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from arena.ranking.cluster_scores import ClusterBy
from arena.ranking.fitted import ModelFit
from arena.ranking.models import fit_model
from arena.ranking.precision import estimate_precision
from arena.ranking.replicates import Kind, replicate
from arena.ranking.tallies import Tallies, Votes, tally
from benchmarks.measuring import Timing, allocated_mebibytes, machine, peak_mebibytes, timed
from benchmarks.peers import PEERS, Peer
from benchmarks.worlds import world

Floats = NDArray[np.float64]

_OURS: Final = "Winrate"
# Replicates that a peer makes to tell the time of one.
_FEW: Final[dict[str, int]] = {"evalica": 2, "arena-rank": 2, "arenakit": 30}


def exact_strengths(half_wins: Floats) -> Floats:
    """(K,) the half-win maximum in extended precision: steps from double precision, derivatives from 80 bits."""
    wins = half_wins.astype(np.longdouble)
    met = wins + wins.T
    strengths = np.zeros(len(wins), dtype=np.longdouble)
    for _ in range(100):
        chance = 1 / (1 + np.exp(strengths[None, :] - strengths[:, None]))
        slope = (wins - met * chance).sum(axis=1)
        bend = np.asarray(met * chance * (1 - chance), dtype=np.float64)
        laplacian = np.diag(bend.sum(axis=1)) - bend + bend.max()
        step = np.linalg.solve(laplacian, np.asarray(slope, dtype=np.float64))
        size = float(np.abs(step).max())
        strengths += step * (np.log1p(size) / max(size, 1e-300))
        if size < 1e-17:
            break
    return np.asarray(strengths - strengths.mean(), dtype=np.float64)


def present(peers: tuple[Peer, ...] = PEERS) -> list[Peer]:
    """Those that are installed; the others are named."""
    absent = sorted({peer.distribution for peer in peers if peer.version is None})
    if absent:
        print(f"\nNot installed, so not measured: {', '.join(absent)} (see benchmarks/requirements-peers.txt).")
    return [peer for peer in peers if peer.version is not None]


def fits(votes: int, contenders: int, rounds: int) -> None:
    """Integer columns to strengths: time, distance from the exact maximum, and memory above the columns."""
    columns = _columns(votes, contenders)
    acts: dict[str, Callable[[], Floats]] = {_OURS: lambda: fit_model(tally(columns), side_bias=False).strengths}
    acts |= {peer.title: peer.fit(columns) for peer in present()}
    exact = exact_strengths(tally(columns).half_wins())
    times = timed(acts, rounds=rounds)
    print(f"\n### Point fit of {votes:,} votes on {contenders} contenders, {rounds} rounds\n")
    print("| | CPU ms | times ours | wall ms | largest error | resident memory, MiB | NumPy's share, MiB |")
    print("|---|---|---|---|---|---|---|")
    for name, act in acts.items():
        error = float(np.abs(act() - exact).max())
        resident, allocated = peak_mebibytes(act), allocated_mebibytes(act) if name == _OURS else None
        cells = [f"{error:.0e}", _number(resident), _number(allocated)]
        print(f"| {name} | {_times(times[name], times[_OURS])} | {' | '.join(cells)} |", flush=True)


def precision(rounds: int) -> None:
    """Sandwiches of a million votes on 20 contenders."""
    columns = _columns(1_000_000, 20)
    for side in (False, True):
        fit = fit_model(tally(columns), side_bias=side)
        acts: dict[str, Callable[[], object]] = {
            "by rater, CR1": lambda: estimate_precision(fit, columns, by=("rater",), method="cr1"),  # noqa: B023
            "by rater, CR3": lambda: estimate_precision(fit, columns, by=("rater",)),  # noqa: B023
            "by rater and prompt, CR3": lambda: estimate_precision(fit, columns),  # noqa: B023
        }
        if not side:
            acts["fit and by rater, CR1"] = lambda: estimate_precision(
                fit_model(tally(columns), side_bias=False), columns, by=("rater",), method="cr1"
            )
            acts |= {f"{peer.title}: fit and by vote": peer.sandwich(columns) for peer in present() if peer.sandwich}
        times = timed(acts, rounds=rounds)
        print(f"\n### Sandwich of 1,000,000 votes on 20 contenders, {'with' if side else 'without'} side bias\n")
        print("| | CPU ms | wall ms |\n|---|---|---|")
        for name, time in times.items():
            print(f"| {name} | {time.cpu:,.1f} | {time.wall:,.1f} |", flush=True)


def replicates(rounds: int) -> None:
    """A thousand refits of a million resampled votes; peers make a few, and their time of one is compared."""
    for contenders in (20, 100):
        columns = _columns(1_000_000, contenders)
        tallies = tally(columns)
        print(f"\n### 1,000 replicates of 1,000,000 votes on {contenders} contenders\n")
        print("| | replicates made | CPU ms for 1,000 of ours, each of theirs | each, times ours |\n|---|---|---|---|")
        ways: tuple[tuple[str, tuple[ClusterBy, ...]], ...] = (("vote", ()), ("rater", ("rater",)))
        for kind, by in ways:
            plain, sided = (fit_model(tallies, side_bias=side) for side in (False, True))
            data = tallies if kind == "vote" else columns
            ours: dict[str, Callable[[], object]] = {
                f"{_OURS}, by {kind}": partial(_replicates, plain, data, by),
                f"{_OURS}, by {kind}, multinomial": partial(_replicates, plain, data, by, "multinomial"),
                f"{_OURS}, by {kind}, side bias": partial(_replicates, sided, data, by),
            }
            times = timed(ours, rounds=rounds)
            for name, time in times.items():
                print(f"| {name} | 1,000 | {time.cpu:,.1f} | |", flush=True)
            one = times[f"{_OURS}, by {kind}, multinomial"].cpu / 1000
            for peer in present():
                if kind in peer.replicates:
                    repeat, number = peer.replicates[kind](columns), _FEW[peer.distribution]
                    time = timed({"": lambda: repeat(number)}, rounds=1)[""]  # noqa: B023
                    each = time.cpu / number
                    print(f"| {peer.title}, by {kind} | {number} | {each:,.1f} | {each / one:,.0f} |", flush=True)


def _columns(votes: int, contenders: int) -> Votes:
    return world(0, contenders=contenders, votes=votes, raters=max(1, votes // 50), prompts=300, spread=0.7)


def _replicates(fit: ModelFit, data: Votes | Tallies, by: tuple[ClusterBy, ...], kind: Kind = "bayesian") -> object:
    return replicate(fit, data, rng=np.random.default_rng(0), by=by, kind=kind)


def _times(time: Timing, ours: Timing) -> str:
    return f"{time.cpu:,.1f} | {time.cpu / ours.cpu:,.1f} | {time.wall:,.1f}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=["fits", "precision", "replicates"])
    parser.add_argument("--votes", type=int, default=10_000_000)
    parser.add_argument("--contenders", type=int, nargs="*", default=[20])
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    print(f"{datetime.now(UTC):%Y-%m-%d}, {machine()}, NumPy {np.__version__}.")
    if "fits" in asked.what:
        for contenders in asked.contenders:
            fits(asked.votes, contenders, asked.rounds)
    if "precision" in asked.what:
        precision(asked.rounds)
    if "replicates" in asked.what:
        replicates(asked.rounds)


if __name__ == "__main__":
    main()

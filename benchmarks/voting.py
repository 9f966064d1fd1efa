"""Voting under load over HTTP, and the next pair and a vote with few and with many votes stored.

    python -m benchmarks.voting load --database postgres --seconds 120
    python -m benchmarks.voting load --peer ../before --rounds 3 --seconds 20 --rate 20
    python -m benchmarks.voting stored --database sqlite --votes 10000 1000000

An answer is one ballot answered, all of its questions at once, and the reply brings the next pair; it stores as many
votes as the ballot has questions. With --peer a checkout of an older commit serves the same database in turns with this
one.

Everything runs on this machine, on the loopback interface, in a temporary folder: a real server (`gunicorn -w 2`), and
SQLite as the site sets it or a PostgreSQL of its own with its own defaults, fsync included. Images are rows without
files and are not fetched.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measuring import machine
from benchmarks.serving import database


def stored(asked: argparse.Namespace) -> None:
    """The same acts of fresh raters with so many votes stored, in this process: no server, no network."""
    from arena import raters, voting
    from arena.models import Vote
    from benchmarks.voting_world import make_world, store_votes

    design: dict[str, Any] = {"pair_rule": asked.rule}
    if asked.target:
        design["target_votes"] = asked.target
    study = make_world(contenders=asked.contenders, prompts=asked.prompts, design=design)
    invitation, _ = raters.invite(study=study)
    keys = list(study.criteria.values_list("key", flat=True))
    found: dict[int, dict[str, list[tuple[float, float]]]] = {}
    for number in asked.votes:
        started = time.perf_counter()
        store_votes(study, number)
        print(f"{Vote.objects.count():,} votes stored after {time.perf_counter() - started:.0f} s", file=sys.stderr)
        times = found[number] = {"next pair": [], "vote": []}
        for _ in range(asked.raters):
            rater = raters.join(invitation=invitation, consent_text="benchmark")
            voting.open_ballots(rater=rater)  # warm, and the three ballots that a rater always has
            for _ in range(asked.each):
                ballot = voting.open_ballots(rater=rater, wanted=1)[0]
                answers = dict.fromkeys(keys, "left")
                _take(times["vote"], lambda: voting.cast_votes(rater=rater, ballot_token=ballot.token, answers=answers))  # noqa: B023
                _take(times["next pair"], lambda: voting.open_ballots(rater=rater))  # noqa: B023
    _print_stored(asked, found)


def _print_stored(asked: argparse.Namespace, found: dict[int, dict[str, list[tuple[float, float]]]]) -> None:
    first, last = asked.votes[0], asked.votes[-1]
    target = f", target {asked.target}" if asked.target else ""
    images = asked.contenders * asked.prompts
    print(f"\n### {asked.database}: {asked.contenders} contenders x {asked.prompts} prompts ({images:,} images), ")
    print(f"rule {asked.rule}{target}, {asked.raters * asked.each} of each\n")
    columns = " | ".join(f"{number:,} votes: p10 / p50 / p95 ms" for number in asked.votes)
    print(f"| act | {columns} | ratio p10 | p50 | p95 |\n|---|" + "---|" * (len(asked.votes) + 3))
    for act in ("next pair", "vote"):
        for place, clock in enumerate(("wall", "CPU of this process")):
            times = {number: sorted(each[place] for each in found[number][act]) for number in asked.votes}
            cells = [" / ".join(f"{_at(times[number], at):.1f}" for at in (0.1, 0.5, 0.95)) for number in asked.votes]
            cells += [f"{_at(times[last], at) / _at(times[first], at):.2f}" for at in (0.1, 0.5, 0.95)]
            print(f"| {act}, {clock} | {' | '.join(cells)} |", flush=True)


def _take(times: list[tuple[float, float]], act: Callable[[], object]) -> None:
    gc.disable()
    started, cpu = time.perf_counter(), time.thread_time()
    act()
    times.append((1000 * (time.perf_counter() - started), 1000 * (time.thread_time() - cpu)))
    gc.enable()


def _at(times: list[float], share: float) -> float:
    return median(times) if share == 0.5 else times[min(len(times) - 1, int(share * len(times)))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["load", "stored"])
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--rate", type=float, default=50, help="ballots answered a second, all clients together")
    parser.add_argument("--peer", type=Path, help="a checkout of another commit that has the same tables")
    parser.add_argument("--rounds", type=int, default=1, help="how often each is measured, in turns")
    parser.add_argument("--votes", type=int, nargs="*", default=[10_000, 1_000_000])
    parser.add_argument("--contenders", type=int, default=12)
    parser.add_argument("--prompts", type=int, default=100)
    parser.add_argument("--rule", default="balanced")
    parser.add_argument("--target", type=int, default=0)
    parser.add_argument("--raters", type=int, default=20)
    parser.add_argument("--each", type=int, default=20)
    asked = parser.parse_args()
    print(f"\n{datetime.now(UTC):%Y-%m-%d}, {machine()}.", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="winrate-benchmark-") as folder,
        database(asked.database, Path(folder)) as server,
    ):
        if asked.what == "stored":
            stored(asked)
        else:
            from benchmarks.voting_load import load

            load(asked, database=server)


if __name__ == "__main__":
    main()

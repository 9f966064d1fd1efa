"""A public arena in PostgreSQL: a thousand contenders and ten million votes, as rows, and what each act then costs.

    python -m benchmarks.public_arena --votes 1000000 10000000

At each number of votes: a vote and the next pair of fresh raters under each rule, the tallies of one question by the
database, the chances of the next pairs, the point fit, the votes as columns, and one question's fit with intervals,
which has a process and a limit of its own. At the end the sizes of tables and indices. Images are rows without files.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.measuring import machine, peak_mebibytes
from benchmarks.serving import database

if TYPE_CHECKING:
    from arena.models import Study

_RULES = ("uniform", "balanced", "lmarena")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--votes", type=int, nargs="*", default=[1_000_000, 10_000_000])
    parser.add_argument("--contenders", type=int, default=1_000)
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--raters", type=int, default=6)
    parser.add_argument("--each", type=int, default=15)
    parser.add_argument("--fit-minutes", type=float, default=10)
    parser.add_argument("--fit-gigabytes", type=float, default=12)
    asked = parser.parse_args()
    print(f"\n{datetime.now(UTC):%Y-%m-%d}, {machine()}.", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="winrate-benchmark-") as folder,
        database("postgres", Path(folder)),
    ):
        _run(asked)


def _run(asked: argparse.Namespace) -> None:
    from arena.models import Vote
    from benchmarks.voting_world import make_world, store_votes

    study = make_world(contenders=asked.contenders, prompts=asked.prompts)
    images = asked.contenders * asked.prompts
    print(f"{asked.contenders:,} contenders x {asked.prompts} prompts: {images:,} images.\n", flush=True)
    for number in asked.votes:
        started = time.perf_counter()
        store_votes(study, number)
        print(f"## {Vote.objects.count():,} votes, stored in {time.perf_counter() - started:.0f} s\n", flush=True)
        _plan(study)
        for rule in _RULES:
            _vote(study, rule, raters=asked.raters, each=asked.each)
        _read(study)
        _fit(study, minutes=asked.fit_minutes, gigabytes=asked.fit_gigabytes)
        print(flush=True)
    _sizes()


def _vote(study: Study, rule: str, *, raters: int, each: int) -> None:
    """What fresh raters wait for, in this process: no server, no network."""
    from arena import raters as raters_acts
    from arena import voting
    from arena.models import Study

    Study.objects.filter(pk=study.pk).update(design={**study.design, "pair_rule": rule})
    study = Study.objects.get(pk=study.pk)
    invitation, _ = raters_acts.invite(study=study)
    keys = list(study.criteria.values_list("key", flat=True))
    times: dict[str, list[tuple[float, float]]] = {"next pair": [], "vote": []}
    names = set[str]()
    for _ in range(raters):
        rater = raters_acts.join(invitation=invitation, consent_text="benchmark")
        voting.open_ballots(rater=rater)
        for _ in range(each):
            ballot = voting.open_ballots(rater=rater, wanted=1)[0]
            answers = dict.fromkeys(keys, "left")
            _timed(times["vote"], lambda: voting.cast_votes(rater=rater, ballot_token=ballot.token, answers=answers))  # noqa: B023
            _timed(times["next pair"], lambda: voting.open_ballots(rater=rater))  # noqa: B023
            names.add(ballot.rule)
    for act, found in times.items():
        wall, cpu = (sorted(each[place] for each in found) for place in (0, 1))
        tail = wall[min(len(wall) - 1, int(0.95 * len(wall)))]
        print(
            f"- {act}, rule {', '.join(sorted(names))}: {median(wall):.0f} ms (95 %: {tail:.0f}), "
            f"processor {median(cpu):.0f} ms",
            flush=True,
        )


def _timed(times: list[tuple[float, float]], act: Callable[[], object]) -> None:
    started, cpu = time.perf_counter(), time.thread_time()
    act()
    times.append((1000 * (time.perf_counter() - started), 1000 * (time.thread_time() - cpu)))


def _plan(study: Study) -> None:
    from arena import pair_plans
    from arena.models import Study

    Study.objects.filter(pk=study.pk).update(design={**study.design, "pair_rule": "lmarena"})
    _told("chances of the next pairs (lmarena), by a worker", pair_plans.refresh_plans)


def _read(study: Study) -> None:
    from arena import vote_snapshot
    from arena.counted_votes import counted_tallies
    from arena.ranking.models import fit_model

    criterion = study.criteria.all()[0]
    contenders = list(study.contenders.order_by("pk").values_list("pk", flat=True))
    tallies: list[Any] = []
    _told(
        "tallies of one question, by the database",
        lambda: tallies.append(counted_tallies(criterion, study=study, contenders=contenders)),
    )
    _told("point fit of these tallies", lambda: fit_model(tallies[0]))
    _told("all votes as columns, the first time", lambda: vote_snapshot.rebuild(study))
    _told("all votes as columns, from the file", lambda: vote_snapshot.study_votes(study))


def _told(name: str, act: Callable[[], object]) -> None:
    started, cpu = time.perf_counter(), time.process_time()
    peak = peak_mebibytes(act)
    wall, spent = time.perf_counter() - started, time.process_time() - cpu
    print(f"- {name}: {wall:.1f} s, processor {spent:.1f} s, peak {peak or 0:,.0f} MiB more", flush=True)


def _fit(study: Study, *, minutes: float, gigabytes: float) -> None:
    """One question with intervals; a process that takes too long or too much is ended and said so."""
    process = multiprocessing.get_context("spawn").Process(target=_fit_here, args=(study.pk, gigabytes))
    process.start()
    process.join(60 * minutes)
    if process.is_alive():
        process.kill()
        print(f"- one question's fit with intervals: not done after {minutes:g} minutes", flush=True)
    elif process.exitcode:
        print(f"- one question's fit with intervals: failed with {gigabytes:g} GB of memory", flush=True)


def _fit_here(study: int, gigabytes: float) -> None:
    import django

    resource.setrlimit(resource.RLIMIT_AS, (int(gigabytes * 2**30),) * 2)
    django.setup()
    from arena.counted_votes import read_votes
    from arena.fit_results import results_of
    from arena.fitting import OPTIONS
    from arena.models import Criterion

    criterion = Criterion.objects.filter(study=study)[0]
    labels = list(criterion.study.contenders.values_list("label", flat=True))
    found: list[Any] = []
    _told("one question's votes read and checked", lambda: found.append(read_votes(criterion)))
    _told(
        "one question's fit with intervals, ranks and tiers",
        lambda: results_of(found[0], labels=labels, options=OPTIONS),
    )


def _sizes() -> None:
    from django.db import connection

    print("| table | rows | table MiB | indices MiB | bytes a row |\n|---|---|---|---|---|")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, GREATEST(reltuples, 1)::bigint, pg_table_size(oid), pg_indexes_size(oid) FROM pg_class "
            "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace "
            "ORDER BY pg_total_relation_size(oid) DESC LIMIT 6"
        )
        for name, rows, table, indices in cursor.fetchall():
            told = (
                f"{rows:,}",
                *(f"{size / 2**20:,.0f}" for size in (table, indices)),
                f"{(table + indices) / rows:,.0f}",
            )
            print(f"| {name} | {' | '.join(told)} |")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

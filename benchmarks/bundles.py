"""A study of many votes: in from a CSV file, out as votes and as a bundle, and the bundle in again. Seconds and memory.

WINRATE_DATA_DIR=$(mktemp -d) python -m benchmarks.bundles --votes 1000000
WINRATE_DATA_DIR=$(mktemp -d) python -m benchmarks.bundles --votes 200000 --acts import_votes export_study import_study
DATABASE_URL=postgres://user@host/empty WINRATE_DATA_DIR=$(mktemp -d) python -m benchmarks.bundles
python -m benchmarks.bundles --study large    # the one that benchmarks.results_page made, in its data folder

While votes and the bundle come in, another process makes one small write after the other and tells how long it waited.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from benchmarks.measuring import machine

CONTENDERS, CRITERIA, RATERS, PROMPTS = 50, 3, 2_000, 1_000
ACTS = ("import_votes", "fit", "export_votes", "export_study", "import_study")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--votes", type=int, default=1_000_000)
    parser.add_argument("--study", default="", help="short name of a study that is there already")
    parser.add_argument("--acts", nargs="+", choices=ACTS, default=ACTS)
    parser.add_argument("--step", type=json.loads, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.step:
        _step(asked.step)
        return
    folder = Path(os.environ["WINRATE_DATA_DIR"])
    kind = "PostgreSQL" if os.environ.get("DATABASE_URL", "").startswith("postgres") else "SQLite"
    print(f"{datetime.now(UTC):%Y-%m-%d}, {machine()}, {kind}.\n")
    print("| act | seconds | of these busy | peak memory, MiB | size, MB |\n|---|---|---|---|---|", flush=True)
    _measured("nothing (Django and this program's imports)", ["check"])
    _act(asked.acts, asked.study or "many", folder, asked.votes, is_there=bool(asked.study))


def _act(acts: list[str], study: str, folder: Path, votes: int, *, is_there: bool) -> None:
    waited = []
    if not is_there:
        _write_votes(folder / "votes.csv", votes)
        _measured("migrate", ["migrate", "-v0"])
        with _writing() as waits:
            _measured("import_votes", ["import_votes", str(folder / "votes.csv"), study], rows=votes)
        waited.append(("import_votes", waits))
    if "fit" in acts:
        _measured("fit", ["fit", study])
    for suffix in ("csv", "jsonl", "parquet") if "export_votes" in acts else ():
        file = folder / f"out.{suffix}"
        _measured(f"export_votes, {suffix}", ["export_votes", study, str(file)], file)
        file.unlink()
    if "export_study" in acts or "import_study" in acts:
        _measured("export_study", ["export_study", study, str(folder / "out.zip")], folder / "out.zip")
    told = ""
    if "import_study" in acts:
        with _writing() as waits:
            told = _measured("import_study", ["import_study", str(folder / "out.zip"), "--slug", "again", "--json"])
        waited.append(("import_study", waits))
    print("\nWrites by another process meanwhile:\n")
    print("| during | writes | median, ms | 95 %, ms | 99 %, ms | worst, ms |\n|---|---|---|---|---|---|")
    for act, waits in waited:
        found = " | ".join(f"{np.quantile(waits, share):.0f}" for share in (0.5, 0.95, 0.99, 1.0))
        print(f"| `{act}` | {len(waits):,} | {found} |")
    print(f"\n{told}")


@contextmanager
def _writing() -> Iterator[list[float]]:
    """Another process that makes one small write after the other; the milliseconds of each, filled in at the end."""
    waits: list[float] = []
    program = [sys.executable, "-m", "benchmarks.bundles", "--step", json.dumps(["write"])]
    writer = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603
    try:
        yield waits
    finally:
        told, _ = writer.communicate("")
        waits += json.loads(told.splitlines()[-1])


def _write_until_told() -> None:
    """A row in and out again every twentieth of a second until stdin ends."""
    from django.db import transaction

    from arena.models import MinuteCount

    waits, now = [], datetime.now(UTC)
    while not select.select([sys.stdin], [], [], 0.05)[0]:
        started = time.perf_counter()
        with transaction.atomic():
            MinuteCount.objects.create(code="benchmark", minute=now).delete()
        waits.append(1000 * (time.perf_counter() - started))
    print("\n" + json.dumps(waits))


def _write_votes(path: Path, votes: int) -> None:
    """Looks of three criteria each; ties and skips among them."""
    rng = np.random.default_rng(7)
    worth = rng.normal(0, 0.7, CONTENDERS)
    looks = votes // CRITERIA + 1
    left = rng.integers(0, CONTENDERS, looks)
    right = (left + rng.integers(1, CONTENDERS, looks)) % CONTENDERS
    rater, prompt = rng.integers(0, RATERS, looks), rng.integers(0, PROMPTS, looks)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("criterion", "left", "right", "choice", "rater", "prompt"))
        written = 0
        for look in range(looks):
            for criterion in range(CRITERIA):
                if written == votes:
                    return
                chance = 1 / (1 + np.exp(worth[right[look]] - worth[left[look]]))
                drawn = rng.random()
                choice = "tie" if drawn > 0.85 else "left" if drawn < 0.85 * chance else "right"
                row = (f"criterion {criterion}", f"model {left[look]}", f"model {right[look]}", choice)
                writer.writerow((*row, f"rater {rater[look]}", f"a prompt, number {prompt[look]}"))
                written += 1


def _measured(name: str, command: list[str], file: Path | None = None, rows: int = 0) -> str:
    """One command in a process of its own; the last line that it printed."""
    ended = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "benchmarks.bundles", "--step", json.dumps(command)],
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise SystemExit(f"{name}: {ended.stderr[-2000:]}")
    lines = [line for line in ended.stdout.splitlines() if line]
    told = json.loads(lines[-1])
    size = f"{file.stat().st_size / 1e6:.1f}" if file else ""
    spent = f"{told['seconds']:.1f} | {told['busy']:.1f} | {told['mebibytes']:.0f}"
    pace = f", {rows / told['busy']:,.0f} rows a second of processor" if rows else ""
    print(f"| `{name}`{pace} | {spent} | {size} |", flush=True)
    return lines[-2] if len(lines) > 1 else ""


def _step(command: list[str]) -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "evalsite.settings")
    django.setup()
    from django.core.management import call_command

    if command == ["write"]:
        _write_until_told()
        return
    started, busy = time.perf_counter(), time.process_time()
    call_command(*command)
    spent = {"seconds": time.perf_counter() - started, "busy": time.process_time() - busy}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print("\n" + json.dumps(spent | {"mebibytes": peak}))


if __name__ == "__main__":
    main()

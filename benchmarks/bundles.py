"""A study of many votes: in from a CSV file, out as votes and as a bundle, and the bundle in again. Seconds and memory.

WINRATE_DATA_DIR=$(mktemp -d) python -m benchmarks.bundles --votes 1000000
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from benchmarks.measuring import machine

CONTENDERS, CRITERIA, RATERS, PROMPTS = 50, 3, 2_000, 1_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--votes", type=int, default=1_000_000)
    parser.add_argument("--step", type=json.loads, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.step:
        _step(asked.step)
        return
    folder = Path(os.environ["WINRATE_DATA_DIR"])
    print(f"{datetime.now(UTC):%Y-%m-%d}, {machine()}, SQLite, load {os.getloadavg()[0]:.0f}.\n")
    _write_votes(folder / "votes.csv", asked.votes)
    print("| act | seconds | peak memory, MiB | size, MB |\n|---|---|---|---|")
    _measured("nothing (Django and this program's imports)", ["check"])
    _measured("migrate", ["migrate", "-v0"])
    _measured("import_votes", ["import_votes", str(folder / "votes.csv"), "many"])
    _measured("export_votes, CSV", ["export_votes", "many", str(folder / "out.csv")], folder / "out.csv")
    _measured("fit", ["fit", "many"])
    _measured("export_study", ["export_study", "many", str(folder / "out.zip")], folder / "out.zip")
    _measured("import_study", ["import_study", str(folder / "out.zip"), "--slug", "again", "--json"], shows=True)


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


def _measured(name: str, command: list[str], file: Path | None = None, *, shows: bool = False) -> None:
    """One command in a process of its own."""
    ended = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "benchmarks.bundles", "--step", json.dumps(command)],
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise SystemExit(f"{name}: {ended.stderr[-2000:]}")
    told = json.loads(ended.stdout.splitlines()[-1])
    size = f"{file.stat().st_size / 1e6:.1f}" if file else ""
    print(f"| `{name}` | {told['seconds']:.1f} | {told['mebibytes']:.0f} | {size} |", flush=True)
    if shows:
        print("\n" + [line for line in ended.stdout.splitlines() if line][-2])


def _step(command: list[str]) -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "evalsite.settings")
    django.setup()
    from django.core.management import call_command

    started = time.perf_counter()
    call_command(*command)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print("\n" + json.dumps({"seconds": seconds, "mebibytes": peak}))


if __name__ == "__main__":
    main()

"""From a CSV file to the printed table: `manage.py rank` in a process of its own, import and parsing included.

python -m benchmarks.ranking_file [--votes 1000000] [--rounds 5]
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Final

from arena.ranking.tallies import LEFT, RIGHT, TIE, Votes
from benchmarks.measuring import machine
from benchmarks.worlds import world

_WORDS: Final = {LEFT: "left", TIE: "tie", RIGHT: "right"}
_SHAPES: Final = {
    "left, right, choice": ("left", "right", "choice"),
    "and rater": ("left", "right", "choice", "rater"),
    "and rater and prompt": ("left", "right", "choice", "rater", "prompt"),
}


def write(path: Path, votes: Votes, columns: Iterable[str]) -> None:
    """The votes as CSV, names of contenders, raters and prompts as a study would have them."""
    assert votes.rater is not None and votes.prompt is not None  # noqa: S101 - simulated votes name both
    texts = {
        "left": (f"model-{number}" for number in votes.left.tolist()),
        "right": (f"model-{number}" for number in votes.right.tolist()),
        "choice": (_WORDS[outcome] for outcome in votes.outcome.tolist()),
        "rater": (f"rater-{number}" for number in votes.rater.tolist()),
        "prompt": (f"prompt-{number}" for number in votes.prompt.tolist()),
    }
    chosen = list(columns)
    with path.open("w") as file:
        file.write(",".join(chosen) + "\n")
        file.writelines(",".join(row) + "\n" for row in zip(*(texts[name] for name in chosen), strict=True))


def rank(path: Path) -> tuple[float, float]:
    """(wall, CPU) seconds of one ranking."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "manage.py", "rank", str(path)], check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--votes", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    print(f"{datetime.now(UTC):%Y-%m-%d}, {machine()}.\n")
    votes = world(0, contenders=20, votes=asked.votes, raters=max(1, asked.votes // 50), prompts=300, spread=0.7)
    print(f"### `manage.py rank` of {asked.votes:,} votes on 20 contenders, medians of {asked.rounds}\n")
    print("| columns | file, MB | wall s | CPU s |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, columns in _SHAPES.items():
            path = Path(folder) / "votes.csv"
            write(path, votes, columns)
            rank(path)
            times = [rank(path) for _ in range(asked.rounds)]
            wall, cpu = (median(each) for each in zip(*times, strict=True))
            print(f"| {name} | {path.stat().st_size / 1e6:.0f} | {wall:.2f} | {cpu:.2f} |", flush=True)


if __name__ == "__main__":
    main()

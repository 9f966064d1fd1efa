"""The table of a full run, for people: benchmarks/results/faults.md, and faults_postgres.md on that database."""

import os
import platform
from datetime import UTC, datetime

from django.conf import settings
from django.db import connection

from tests.faults.scale import SCALE

LINES: list[str] = []


def add(test: str, *, figures: list[str], seconds: float) -> None:
    """One line: the fault's number is the beginning of the test's name."""
    _, number, *words = test.split("_")
    print(f"{number.upper()}: {'; '.join(figures)}")
    if figures:  # a test tells its figures last, so one that has none did not hold
        LINES.append(f"| {number.upper()} | {' '.join(words)} | {'; '.join(figures)} | {seconds:.0f} |")


def write() -> str:
    """Write the file and return what it says."""
    text = "\n".join(
        [
            "# Faults, done to real processes",
            "",
            f"`make faults`, {datetime.now(UTC):%Y-%m-%d}, {platform.system()}, {os.cpu_count()} cores shared with"
            f" other programs, Python {platform.python_version()}, {connection.vendor}, Redis and Celery workers as in"
            f" production: leases of {SCALE.lease:g} s, a heartbeat every {SCALE.beat:g} s, a reconciliation every"
            f" {SCALE.reconcile:g} s, {SCALE.images} images. Only faults that held have a line.",
            "",
            "| fault | what was done | measured | seconds in all |",
            "|---|---|---|---|",
            *LINES,
            "",
        ]
    )
    name = "faults.md" if connection.vendor == "sqlite" else "faults_postgres.md"
    (settings.BASE_DIR / "benchmarks" / "results" / name).write_text(text)
    return text

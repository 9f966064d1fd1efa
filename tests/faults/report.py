"""The table of a full run, for people: benchmarks/results/faults.md, and faults_postgres.md on that database."""

import os
import platform
from datetime import UTC, datetime

from django.conf import settings
from django.db import connection

from tests.faults.scale import SCALE

LINES: dict[str, str] = {}
"""By fault and what was done; empty where it did not hold."""


def add(test: str, *, figures: list[str], seconds: float) -> None:
    """One line: the fault's number is the beginning of the test's name."""
    _, number, *words = test.split("_")
    print(f"{number.upper()}: {'; '.join(figures)}")
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    line = f"| {number.upper()} | {' '.join(words)} | {'; '.join(figures)} | {seconds:.0f} | {day} |"
    LINES[_key(line)] = line if figures else ""  # a test tells its figures last, so one that has none did not hold


def write() -> str:
    """Write the file and return what it says. A fault that was not done in this run keeps its line."""
    name = "faults.md" if connection.vendor == "sqlite" else "faults_postgres.md"
    page = settings.BASE_DIR / "benchmarks" / "results" / name
    before = page.read_text().splitlines() if page.exists() else []
    kept = {_key(line): line for line in before if line.startswith("| F")}
    text = "\n".join(
        [
            "# Faults, done to real processes",
            "",
            f"`make faults`, {platform.system()}, {os.cpu_count()} cores shared with other programs, Python"
            f" {platform.python_version()}, {connection.vendor}, Redis and Celery workers as in production: leases of"
            f" {SCALE.lease:g} s, a heartbeat every {SCALE.beat:g} s, a reconciliation every {SCALE.reconcile:g} s,"
            f" {SCALE.images} images. Only faults that held have a line, each of the last run in which it was done.",
            "",
            "| fault | what was done | measured | seconds in all | on |",
            "|---|---|---|---|---|",
            *filter(None, (kept | LINES).values()),
            "",
        ]
    )
    page.write_text(text)
    return text


def _key(line: str) -> str:
    return "|".join(line.split("|")[:3])

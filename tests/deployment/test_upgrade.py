"""A database of the first release brought up to date: no vote is lost, and a killed migration goes on (F19).

With FAULTS=full it holds a million votes, and how long that took is written to benchmarks/results/upgrade.md.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from tests.faults.scale import IS_FULL
from tests.servers.postgres import PostgresServer

KILLED_AT = ("30", "60", "120") if IS_FULL else ("30", "120")
COPIES = 8265 if IS_FULL else 2
"""Of 121 votes."""


ABOUT = """# A database of the first release brought up to date

`make faults` (`tests/deployment/test_upgrade.py` with FAULTS=full): the tables of the first release filled, `migrate`
ended by kill -9 at statements {kills} of as many processes, then run to its end; {cores} cores shared with other
programs. Compared afterwards: rows of every table, each rater's hash chain, fitted strengths.

| database | votes | ballots | raters | rows lost | chains broken | largest difference | last `migrate`, s | all, s |
|---|---|---|---|---|---|---|---|---|"""


def upgraded(url: str, folder: Path) -> dict[str, Any]:
    """What a process finds that fills the database as then, is killed twice while it migrates, and migrates."""
    began = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-m", "tests.deployment.first_release", str(COPIES), *KILLED_AT],
        cwd=settings.BASE_DIR,
        env={**os.environ, "DATABASE_URL": url, "WINRATE_DATA_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=3600 if IS_FULL else 300,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    told: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return told | {"all_seconds": time.monotonic() - began}


def assert_is_whole(told: dict[str, Any], database: str) -> None:
    assert told["ends"] == [9] * len(KILLED_AT)
    assert told["now"] == told["then"]
    assert (told["broken"], told["goes_on"]) == ([], True)
    for name in ("from_rows", "from_then"):
        assert len(told[name]) == 3
        assert max(told[name].values()) < 1e-9, name
    if IS_FULL:
        write_down(told, database)


def write_down(told: dict[str, Any], database: str) -> None:
    """A line of benchmarks/results/upgrade.md for this database, in place of an earlier one."""
    page = Path(settings.BASE_DIR) / "benchmarks" / "results" / "upgrade.md"
    kept = [line for line in page.read_text().splitlines() if line.startswith("| ")][1:] if page.exists() else []
    kept = [line for line in kept if not line.startswith(f"| {database} ")]
    furthest = max(max(told[name].values()) for name in ("from_rows", "from_then"))
    counts = " | ".join(f"{told['now'][f'arena.{name}']:,}" for name in ("vote", "ballot", "rater"))
    line = f"| {database} | {counts} | 0 | 0 | {furthest:.1e} | {told['seconds']:.0f} | {told['all_seconds']:.0f} |"
    kills = ", ".join(KILLED_AT)
    page.write_text("\n".join([*ABOUT.format(kills=kills, cores=os.cpu_count()).splitlines(), *kept, line, ""]))


@pytest.mark.once
def test_sqlite_of_the_first_release_comes_up_to_date(tmp_path: Path) -> None:
    assert_is_whole(upgraded(f"sqlite:///{tmp_path}/first.sqlite3", tmp_path / "data"), "SQLite")


@pytest.mark.postgres
@pytest.mark.django_db
def test_postgresql_of_the_first_release_comes_up_to_date(postgres_server: PostgresServer, tmp_path: Path) -> None:
    assert_is_whole(upgraded(postgres_server.new_database("first_release"), tmp_path / "data"), "PostgreSQL")


@pytest.mark.django_db
def test_every_migration_is_one_transaction() -> None:
    ours = [found for (app, _), found in MigrationLoader(connection).disk_migrations.items() if app in OURS]
    assert len(ours) >= 19
    assert [str(migration) for migration in ours if not migration.atomic] == []


OURS = ("arena", "generation")

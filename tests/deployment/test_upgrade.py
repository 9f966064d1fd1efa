"""A database of the first release brought up to date: no vote is lost, and a killed migration goes on (F19)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from tests.servers.postgres import PostgresServer

KILLED_AT = ("30", "120")


def upgraded(url: str, folder: Path) -> dict[str, object]:
    """What a process finds that fills the database as then, is killed twice while it migrates, and migrates."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.deployment.first_release", *KILLED_AT],
        cwd=settings.BASE_DIR,
        env={**os.environ, "DATABASE_URL": url, "WINRATE_DATA_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    told: dict[str, object] = json.loads(ended.stdout.splitlines()[-1])
    return told


def assert_is_whole(told: dict[str, object]) -> None:
    assert told["ends"] == [9] * len(KILLED_AT)
    assert told["now"] == told["then"]
    assert (told["broken"], told["goes_on"]) == ([], True)
    for name in ("from_rows", "from_then"):
        differences = told[name]
        assert isinstance(differences, dict) and len(differences) == 3
        assert max(differences.values()) < 1e-9, name


@pytest.mark.once
def test_sqlite_of_the_first_release_comes_up_to_date(tmp_path: Path) -> None:
    assert_is_whole(upgraded(f"sqlite:///{tmp_path}/first.sqlite3", tmp_path / "data"))


@pytest.mark.postgres
@pytest.mark.django_db
def test_postgresql_of_the_first_release_comes_up_to_date(postgres_server: PostgresServer, tmp_path: Path) -> None:
    assert_is_whole(upgraded(postgres_server.new_database("first_release"), tmp_path / "data"))


@pytest.mark.django_db
def test_every_migration_is_one_transaction() -> None:
    ours = [found for (app, _), found in MigrationLoader(connection).disk_migrations.items() if app in OURS]
    assert len(ours) >= 19
    assert [str(migration) for migration in ours if not migration.atomic] == []


OURS = ("arena", "generation")

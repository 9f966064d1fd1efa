"""The database restarted, locked, or without room under votes: calm refusals, nothing lost, and then all goes on."""

import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from django.conf import settings
from django.db import connection

from tests import plugin
from tests.faults.scale import IS_FULL, SCALE
from tests.faults.voters import Crowd, Told, assert_nothing_lost_or_doubled, make_study_of_rows
from tests.servers import celery_worker
from tests.servers.addresses import wait_until
from tests.servers.missing import say_missing
from tests.servers.mortal_web import WebServer
from tests.servers.postgres import PostgresServer

Measured = Callable[[str], None]
SECONDS_TO_NORMAL = 5.0
WAITS_FOR_A_LOCK = 20.0
pytestmark = pytest.mark.django_db(transaction=True)


def is_normal(after: float, *, before: float) -> bool:
    """Whether answers are taken again within five seconds.

    Small runs stand beside dozens of other programs, where a second means little by itself: there ten times as long as
    answers took just before the fault comes on top. On a quiet machine that is about ten seconds in all.
    """
    return after < SECONDS_TO_NORMAL + (0 if IS_FULL else 10 * before)


@contextmanager
def site_with_voters(log: Path, *, database_url: str, **environment: str) -> Iterator[tuple[WebServer, Crowd]]:
    """A study, gunicorn in front of it, and raters who have joined."""
    study, token = make_study_of_rows()
    web = WebServer(database_url=database_url, log=log, **environment)
    try:
        crowd = Crowd(web.url, token, study, raters=SCALE.raters, rate=SCALE.vote_rate)
        connection.close()  # whatever is done to the database is not done to us
        yield web, crowd
    finally:
        web.stop()


@pytest.fixture
def durable_postgres(postgres_server: PostgresServer) -> Iterator[PostgresServer]:
    """The server of the test database, which for now keeps what it has acknowledged."""
    name = str(connection.settings_dict["NAME"])
    connection.close()
    postgres_server.administer(f"ALTER DATABASE {name} SET synchronous_commit = on")
    yield postgres_server
    connection.close()
    postgres_server.administer(f"ALTER DATABASE {name} RESET synchronous_commit")


@pytest.fixture
def small_disk(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system of its own with little room.

    It takes root, or the right to mount, in CI too. One mounted in a user namespace, which anybody may do, is reached
    only by way of /proc/PID/root, a link that SQLite resolves before it opens a file; and no limit on a process's files
    fails with "no space left", as a disk does.

    It stands beside the data folder: PostgreSQL's own user must pass through to it, and pytest shuts the folders of
    `tmp_path` to other users again whenever another run begins.
    """
    place = request.config.stash[plugin.data_folder] / "disk"
    place.mkdir()
    mount = shutil.which("mount") or "mount"
    made = subprocess.run([mount, "-t", "tmpfs", "-o", "size=64m", "tmpfs", place], capture_output=True)  # noqa: S603
    if made.returncode:
        say_missing("a small file system (mounting one needs root)")
    yield place
    subprocess.run([shutil.which("umount") or "umount", "--lazy", place], check=True)  # noqa: S603
    place.rmdir()


@pytest.mark.postgres
def test_f14_kill_9_of_postgres_under_votes_loses_none(
    durable_postgres: PostgresServer, measured: Measured, tmp_path: Path
) -> None:
    longest, before = 0.0, 0.0
    with site_with_voters(tmp_path / "web.log", database_url=celery_worker.test_database_url()) as (web, crowd):
        with crowd.voting() as told:
            for _ in range(SCALE.database_restarts):
                before = max(before, crowd.wait_for_answers(10))
                refused = sum(told.refusals.values())
                durable_postgres.kill()
                wait_for_refusals(told, refused + 1)
                durable_postgres.start()
                longest = max(longest, crowd.wait_for_answers(SCALE.raters))
        assert "Internal Server Error" not in web.log_text()
    ballots = assert_nothing_lost_or_doubled(told, questions=len(crowd.questions))
    assert (told.unanswered, is_normal(longest, before=before)) == (0, True)
    measured(
        f"{ballots} ballots over {SCALE.database_restarts} kill -9, 0 lost, 0 doubled; {sum(told.refusals.values())}"
        f" answers 503 with Retry-After, nothing else; {SCALE.raters} answers taken {longest:.1f} s after at most"
    )


@pytest.mark.once
def test_f14_a_locked_sqlite_delays_votes_and_loses_none(measured: Measured, tmp_path: Path) -> None:
    name = str(connection.settings_dict["NAME"])
    url = celery_worker.test_database_url()
    with site_with_voters(tmp_path / "web.log", database_url=url) as (_, crowd), crowd.voting() as told:
        before = crowd.wait_for_answers(10)
        hold_lock(name, SCALE.seconds_locked)
        after = crowd.wait_for_answers(SCALE.raters)
        waited = sum(told.refusals.values()) == 0
        if IS_FULL:  # longer than a vote waits
            hold_lock(name, 1.5 * WAITS_FOR_A_LOCK)
            after = max(after, crowd.wait_for_answers(SCALE.raters))
            assert sum(told.refusals.values()) > 0
    ballots = assert_nothing_lost_or_doubled(told, questions=len(crowd.questions))
    assert (waited, told.unanswered, is_normal(after, before=before)) == (True, 0, True)
    longer = f"; locked for longer {sum(told.refusals.values())} answers 503 with Retry-After" if IS_FULL else ""
    measured(
        f"{ballots} ballots, 0 lost, 0 doubled; locked for {SCALE.seconds_locked:g} s all waited and none was refused"
        f"{longer}; longest wait {told.slowest:.1f} s; {SCALE.raters} answers taken {after:.1f} s after"
    )


@pytest.mark.once
def test_f15_a_full_disk_under_sqlite_refuses_calmly_and_goes_on_when_there_is_room(
    small_disk: Path, measured: Measured, tmp_path: Path
) -> None:
    study, token = make_study_of_rows()
    data, database = small_disk / "data", small_disk / "data" / "winrate.sqlite3"
    data.mkdir()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM INTO %s", [str(database)])
    environment = {"WINRATE_DATA_DIR": str(data), "SECRET_KEY": settings.SECRET_KEY}
    web = WebServer(database_url=f"sqlite:///{database}", log=tmp_path / "web.log", **environment)
    try:
        crowd = Crowd(web.url, token, study, raters=SCALE.raters, rate=SCALE.vote_rate)
        told, said = vote_through_a_full_disk(web, crowd, small_disk)
    finally:
        web.stop()
    with closing(sqlite3.connect(database)) as opened:

        def rows(sql: str) -> list[tuple[Any, ...]]:
            return opened.execute(sql).fetchall()

        assert rows("PRAGMA integrity_check") == [("ok",)]
        ballots = assert_nothing_lost_or_doubled(told, questions=len(crowd.questions), rows=rows)
    measured(f"{ballots} ballots, 0 lost, 0 doubled, integrity ok; {said}")


@pytest.mark.postgres
def test_f15_a_full_disk_under_postgres_refuses_calmly_and_goes_on_when_there_is_room(
    durable_postgres: PostgresServer, small_disk: Path, measured: Measured, tmp_path: Path
) -> None:
    name, place = str(connection.settings_dict["NAME"]), small_disk / "tables"
    place.mkdir()
    durable_postgres.own_folder(place)
    durable_postgres.administer(
        f"CREATE TABLESPACE small LOCATION '{place}'", f"ALTER DATABASE {name} SET TABLESPACE small"
    )
    try:
        with site_with_voters(tmp_path / "web.log", database_url=celery_worker.test_database_url()) as (web, crowd):
            told, said = vote_through_a_full_disk(web, crowd, small_disk)
        ballots = assert_nothing_lost_or_doubled(told, questions=len(crowd.questions))
    finally:
        connection.close()
        durable_postgres.administer(f"ALTER DATABASE {name} SET TABLESPACE pg_default", "DROP TABLESPACE small")
    measured(f"{ballots} ballots, 0 lost, 0 doubled; {said}")


def vote_through_a_full_disk(web: WebServer, crowd: Crowd, disk: Path) -> tuple[Told, str]:
    """Vote, fill the disk, see that refusals are calm, make room, see that votes come in again; what to tell of it."""
    processes = {process.pid for process in web.processes().values()}
    filler = disk / "filler"
    with crowd.voting() as told:
        before = crowd.wait_for_answers(10)
        fill(filler)
        wait_for_refusals(told, SCALE.raters)
        for path in ("/accounts/login/", "/join/not-a-link/", "/healthz", "/vote/benchmark/"):
            reply = requests.get(web.url + path, timeout=60)
            assert reply.status_code in (200, 403, 404, 503) and "Traceback" not in reply.text, (path, reply.text)
        filler.unlink()
        after = crowd.wait_for_answers(SCALE.raters)
    assert {process.pid for process in web.processes().values()} == processes
    assert (told.unanswered, is_normal(after, before=before)) == (0, True)
    assert "Internal Server Error" not in web.log_text()
    return told, (
        f"{sum(told.refusals.values())} answers 503 with Retry-After while it was full; {SCALE.raters} answers taken"
        f" {after:.1f} s after there was room, no process restarted"
    )


def fill(file: Path) -> None:
    """Leave not one block free."""
    with file.open("wb", buffering=0) as opened:
        try:
            while True:
                opened.write(bytes(2**16))
        except OSError:
            return


def hold_lock(database: str, seconds: float) -> None:
    """An exclusive lock from another process's point of view: nobody writes meanwhile."""
    with closing(sqlite3.connect(database, isolation_level=None, timeout=60)) as other:
        other.execute("BEGIN EXCLUSIVE")
        time.sleep(seconds)  # the fault itself
        other.execute("ROLLBACK")


def wait_for_refusals(told: Told, number: int) -> None:
    wait_until(
        lambda: sum(told.refusals.values()) >= number or bool(told.complaints),
        seconds=180,
        what=f"{number} answers are refused ({told.complaints[:2]})",
    )

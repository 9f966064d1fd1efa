"""Threads that write to SQLite beside each other: the garbage of one's errors does not make another wait."""

import gc
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from django.db import connection

from evalsite.sqlite3.base import Cursor

pytestmark = pytest.mark.once
WAIT = 6.0


@contextmanager
def collected_by_hand() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def seconds_of_a_collection(file: Path, factory: type[sqlite3.Cursor]) -> float:
    """How long a thread that holds the write lock collects, while the owner of a failed cursor waits for that lock."""

    def fail_and_wait() -> None:
        with closing(sqlite3.connect(file, isolation_level=None, timeout=0)) as mine:
            cursor = mine.cursor(factory=factory)
            with pytest.raises(sqlite3.OperationalError):
                cursor.execute("BEGIN IMMEDIATE")
            garbage: list[object] = [cursor]
            garbage.append(garbage)
            del cursor, garbage
            mine.execute(f"PRAGMA busy_timeout = {1000 * WAIT:.0f}")
            waits.set()
            try:
                mine.execute("BEGIN IMMEDIATE")
                got.append(True)
            except sqlite3.OperationalError:
                got.append(False)

    waits, got = threading.Event(), list[bool]()
    with closing(sqlite3.connect(file, isolation_level=None)) as holder, collected_by_hand():
        holder.execute("PRAGMA journal_mode = WAL")
        holder.execute("BEGIN IMMEDIATE")
        other = threading.Thread(target=fail_and_wait)
        other.start()
        assert waits.wait(30)
        time.sleep(1)  # it is inside the statement by then
        began = time.monotonic()
        gc.collect()
        seconds = time.monotonic() - began
        holder.execute("ROLLBACK")
        other.join()
    assert got == [seconds < WAIT / 2]
    return seconds


def test_a_collection_waits_for_no_thread_that_waits_for_the_lock(tmp_path: Path) -> None:
    assert seconds_of_a_collection(tmp_path / "ours", Cursor) < WAIT / 2
    # Once Python 3.11 is past, Python's own will do.
    waits = seconds_of_a_collection(tmp_path / "theirs", sqlite3.Cursor) > WAIT / 2
    assert waits is (sys.version_info < (3, 12))


@pytest.mark.django_db
def test_the_site_uses_it() -> None:
    with connection.cursor() as cursor:
        assert isinstance(cursor.cursor, Cursor)
        with pytest.raises(Exception, match="no such table"):
            cursor.execute("SELECT 1 FROM nowhere")

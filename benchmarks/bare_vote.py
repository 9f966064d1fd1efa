"""The least that storing a vote can be: an update and an insert in one transaction, without Django; alone or over HTTP.

The peer of benchmarks/load.py. It answers 200 where the ballot was open and 409 where it was not; it knows no rater,
checks no form, draws no next pair.
"""

from __future__ import annotations

import itertools
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

BALLOTS: Final = 800_000
WRITERS: Final = 4
_CLAIM: Final = "UPDATE bare_ballot SET state = 'answered' WHERE id = {0} AND state = 'open'"
_VOTE: Final = "INSERT INTO bare_vote (ballot_id, choice, cast_at) VALUES ({0}, {0}, CURRENT_TIMESTAMP)"
_here: Final = threading.local()


def prepare() -> None:
    """Empty tables in the site's own database, with ballots enough for any run."""
    identity = "INTEGER PRIMARY KEY" if _is_sqlite() else "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
    numbers = f"SELECT generate_series(1, {BALLOTS})"
    if _is_sqlite():
        below = "SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i <"
        numbers = f"WITH RECURSIVE n(i) AS ({below} {BALLOTS}) SELECT i FROM n"  # noqa: S608 - all our own
    statements = (
        "CREATE TABLE bare_ballot (id bigint PRIMARY KEY, state varchar(10) NOT NULL DEFAULT 'open')",
        f"CREATE TABLE bare_vote (id {identity}, ballot_id bigint NOT NULL UNIQUE REFERENCES bare_ballot (id),"
        " choice varchar(10) NOT NULL, cast_at timestamp NOT NULL)",
        f"INSERT INTO bare_ballot (id) {numbers}",  # noqa: S608 - all our own
    )
    connection = _connect()
    for statement in statements:
        connection.execute(statement)
    connection.close()


def store(ballot: int, choice: str) -> bool:
    """Whether the ballot was open; then it has a vote now, on disk."""
    connection = getattr(_here, "connection", None)
    if connection is None:
        connection = _here.connection = _connect()
    mark = "?" if _is_sqlite() else "%s"
    connection.execute("BEGIN IMMEDIATE" if _is_sqlite() else "BEGIN")
    is_open = connection.execute(_CLAIM.format(mark), (ballot,)).rowcount == 1
    if is_open:
        connection.execute(_VOTE.format(mark), (ballot, choice))
    connection.execute("COMMIT")
    return bool(is_open)


def alone(seconds: float, *, first: int) -> float:
    """Votes a second of four processes that do nothing else, on ballots from `first` on."""
    with ProcessPoolExecutor(WRITERS) as pool:
        counts = list(pool.map(_write, [(seconds, first + place) for place in range(WRITERS)]))
    return sum(counts) / seconds


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """A WSGI application that stores what a form says, and nothing besides."""
    if environ["REQUEST_METHOD"] != "POST":
        start_response("204 No Content", [])
        return []
    form = parse_qs(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"] or 0)).decode())
    stored = store(int(form["ballot"][0]), form["choice"][0])
    start_response("200 OK" if stored else "409 Conflict", [("Content-Type", "application/json")])
    return [b'{"saved": true}' if stored else b'{"saved": false}']


def _write(asked: tuple[float, int]) -> int:
    seconds, first = asked
    end, counted = time.monotonic() + seconds, 0
    for ballot in itertools.count(first, WRITERS):
        if time.monotonic() >= end:
            return counted
        counted += store(ballot, "left")
    raise AssertionError("unreachable")


def _is_sqlite() -> bool:
    return not os.environ.get("DATABASE_URL", "").startswith("postgres")


def _connect() -> Any:
    """As the site sets its database: SQLite with WAL and synchronous FULL, PostgreSQL with its own defaults."""
    if _is_sqlite():
        path = Path(os.environ["WINRATE_DATA_DIR"]) / "winrate.sqlite3"
        connection = sqlite3.connect(path, timeout=20, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        return connection
    import psycopg

    said = urlsplit(os.environ["DATABASE_URL"])
    return psycopg.connect(said._replace(scheme="postgresql").geturl(), autocommit=True)

"""The database as one file, as of one moment, while others write; and an empty database filled from such a file."""

import os
import shutil
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

from django.db import DatabaseError, connection

from arena.backups.layout import BackupError

_SSL = {"sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY"}


def dump(target: Path) -> None:
    """Write the whole database to a new file. Nobody who votes waits for it."""
    if connection.vendor == "sqlite":
        _dump_sqlite(target)
    else:
        # Objects and rows alone: who owns them is a matter of the server that takes them in.
        _run("pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={target}")
    target.chmod(0o600)
    with target.open("rb") as file:
        os.fsync(file.fileno())


def fill(source: Path) -> None:
    """Fill this site's database, which must be empty, from a file: whole or not at all."""
    if connection.vendor == "sqlite":
        _fill_sqlite(source)
    else:
        _run("pg_restore", "--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction", str(source))


def refuse_filled_database() -> None:
    """Raises BackupError where the database holds tables, or does not answer."""
    try:
        tables = connection.introspection.table_names()
    except DatabaseError as error:
        raise BackupError(f"The database does not answer: {error}.") from error
    if tables:
        raise BackupError(
            f"The database ({connection.settings_dict['NAME']}) is not empty: a backup is restored into an empty one. "
            "Set DATABASE_URL to a new database, or WINRATE_DATA_DIR to a new folder."
        )


def _dump_sqlite(target: Path) -> None:
    # Not a copy of the file: what is still in the write-ahead log would be missing, and writers would tear it.
    try:
        with connection.cursor() as cursor:
            cursor.execute("VACUUM INTO %s", [str(target)])
    except DatabaseError as error:
        raise BackupError(f"The database could not be copied to {target}: {error}.") from error


def _fill_sqlite(source: Path) -> None:
    place = Path(connection.settings_dict["NAME"])
    connection.close()
    draft = place.with_name(f".{place.name}.part")
    with source.open("rb") as given, draft.open("wb") as taken:
        shutil.copyfileobj(given, taken, 2**20)
        taken.flush()
        os.fsync(taken.fileno())
    _refuse_damaged(draft)
    for suffix in ("-wal", "-shm"):  # of the empty database that stood here
        place.with_name(place.name + suffix).unlink(missing_ok=True)
    os.replace(draft, place)


def _refuse_damaged(file: Path) -> None:
    opened = sqlite3.connect(file)
    try:
        [said] = opened.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        said = str(error)
    finally:
        opened.close()
    if said != "ok":
        file.unlink()
        raise BackupError(f"The backup's database is damaged ({said}): restore an earlier backup.")


def _run(program: str, *arguments: str) -> None:
    given = connection.settings_dict
    command = [_program(program), "--no-password", *arguments]
    if program == "pg_restore":
        command.insert(1, f"--dbname={given['NAME']}")
    done = subprocess.run(  # noqa: S603 - our own command
        command, env=os.environ | _address(given), stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode:
        said = next((line for line in done.stderr.splitlines() if line.strip()), f"it ended with {done.returncode}")
        raise BackupError(f"{program} failed: {said.removeprefix(f'{program}: ')}")


def _program(name: str) -> str:
    if found := shutil.which(name):
        return found
    installed = Path("/usr/lib/postgresql").glob(f"*/bin/{name}")
    if newest := max(installed, key=lambda path: int(path.parts[-3]), default=None):
        return str(newest)
    raise BackupError(
        f"{name} is not on this machine: install PostgreSQL's client programs, at least as new as the server "
        "(Debian and Ubuntu: apt install postgresql-client)."
    )


def _address(given: dict[str, Any]) -> dict[str, str]:
    """Where the database is, as the programs read it: a password in the arguments could be read by all."""
    names = {"HOST": "PGHOST", "PORT": "PGPORT", "USER": "PGUSER", "PASSWORD": "PGPASSWORD", "NAME": "PGDATABASE"}
    found = {variable: str(given[name]) for name, variable in names.items() if given.get(name)}
    options = given.get("OPTIONS") or {}
    return found | {variable: str(options[name]) for name, variable in _SSL.items() if options.get(name)}

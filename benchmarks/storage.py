"""How much room votes and images take, and whether a backup comes back: on a real PostgreSQL, in a temporary folder.

    python -m benchmarks.storage [--votes 200000]

A study of rows as large as asked for, by SQL; then bytes per row with indices, `pg_dump` and `pg_restore` into a second
database as docs/production.md says, and every table counted on both sides.
"""

import argparse
import os
import subprocess
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from benchmarks.measuring import machine
from tests.servers.postgres import PostgresServer, find_postgres

TABLES = ("arena_ballot", "arena_vote", "arena_rater", "arena_pairexposure", "generation_image", "arena_displaycopy")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--votes", type=int, default=200_000)
    asked = parser.parse_args()
    binaries = find_postgres()
    if binaries is None:
        raise SystemExit("No PostgreSQL on this machine: apt install postgresql")
    print(f"\n{datetime.now(UTC):%Y-%m-%d}, {machine()}.", flush=True)
    with tempfile.TemporaryDirectory(prefix="winrate-benchmark-") as folder:
        os.chmod(folder, 0o711)  # noqa: S103 - PostgreSQL's own user must pass through
        place = Path(folder) / "postgres"
        place.mkdir()
        server = PostgresServer(binaries, place, is_durable=True)
        try:
            _fill(server.url, Path(folder), votes=asked.votes)
            print_sizes(server.url)
            print_backup(server, binaries, Path(folder) / "winrate.dump")
        finally:
            server.stop()


def _fill(url: str, folder: Path, *, votes: int) -> None:
    os.environ |= {"DATABASE_URL": url, "WINRATE_DATA_DIR": str(folder / "data"), "CELERY_BROKER_URL": "memory://"}
    os.environ["DJANGO_SETTINGS_MODULE"] = "evalsite.settings"
    import django

    django.setup()
    from django.core.management import call_command

    from benchmarks.voting_world import make_world, store_votes

    call_command("migrate", verbosity=0)
    study = make_world(contenders=12, prompts=100)
    store_votes(study, votes)


def print_sizes(url: str) -> None:
    """Rows and bytes of each table, with its indices and without."""
    print("| table | rows | bytes a row | of these indices | all, MiB |\n|---|---|---|---|---|")
    with psycopg.connect(url) as connection:
        for table in TABLES:
            row = connection.execute(
                f"SELECT (SELECT COUNT(*) FROM {table}), pg_total_relation_size('{table}'), pg_indexes_size('{table}')"  # noqa: S608
            ).fetchone() or (0, 0, 0)
            rows, total, indices = row
            each = max(rows, 1)
            print(f"| {table} | {rows:,} | {total / each:,.0f} | {indices / each:,.0f} | {total / 2**20:,.1f} |")
        whole = connection.execute("SELECT pg_database_size(current_database())").fetchone() or (0,)
    print(f"\nThe whole database: {whole[0] / 2**20:,.1f} MiB.", flush=True)


def print_backup(server: PostgresServer, binaries: Path, dump: Path) -> None:
    """Seconds and bytes of a dump and of its restoring; ends with an error where a table does not come back whole."""
    began = time.perf_counter()
    subprocess.run(  # noqa: S603 - found by us
        [binaries / "pg_dump", "--format=custom", f"--file={dump}", server.url], check=True
    )
    dumped = time.perf_counter()
    there = server.new_database("restored")
    subprocess.run(  # noqa: S603
        [binaries / "pg_restore", "--no-owner", "--exit-on-error", f"--dbname={there}", dump], check=True
    )
    restored = time.perf_counter()
    before, after = counts_of(server.url), counts_of(there)
    if before != after:
        raise SystemExit(f"Not all came back: {before} became {after}")
    print(
        f"pg_dump: {dumped - began:.1f} s, {dump.stat().st_size / 2**20:.1f} MiB; "
        f"pg_restore: {restored - dumped:.1f} s; all {len(before)} tables have as many rows and triggers."
    )


def counts_of(url: str) -> dict[str, int]:
    """Rows of every table, and the number of triggers."""
    with psycopg.connect(url) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1").fetchall()
        counted = {}
        for (name,) in names:
            row = connection.execute(f'SELECT COUNT(*) FROM "{name}"').fetchone()  # noqa: S608 - a table's own name
            counted[name] = int(row[0]) if row else 0
        triggers = connection.execute("SELECT COUNT(*) FROM pg_trigger WHERE NOT tgisinternal").fetchone()
        return counted | {"triggers": int(triggers[0]) if triggers else 0}


if __name__ == "__main__":
    main()

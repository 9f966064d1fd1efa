"""A database of its own, the site behind gunicorn, and what their processes cost: for benchmarks over HTTP."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import django
import requests

HERE: Final = Path(__file__).resolve().parents[1]
GUNICORN: Final = ("-m", "gunicorn", "-w", "2", "--worker-class", "gthread", "--threads", "4")
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@contextmanager
def database(kind: str, folder: Path) -> Iterator[int | None]:
    """Settings for this process and its children, then Django itself with an empty database; its server's process."""
    (folder / "data").mkdir(mode=0o700)
    os.environ |= {"WINRATE_DATA_DIR": str(folder / "data"), "CELERY_BROKER_URL": "memory://"}
    os.environ |= {"DJANGO_SETTINGS_MODULE": "evalsite.settings", "WINRATE_HASHED_STATIC": "off"}
    server = None
    if kind == "postgres":
        from tests.servers.postgres import PostgresServer, find_postgres

        if (binaries := find_postgres()) is None:
            sys.exit("PostgreSQL cannot be had on this machine.")
        folder.chmod(0o711)
        (folder / "postgres").mkdir()
        server = PostgresServer(binaries, folder / "postgres", is_durable=True)
        os.environ["DATABASE_URL"] = server.url
    try:
        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        yield server.pid if server else None
    finally:
        if server:
            server.stop()


@contextmanager
def served(
    code: Path = HERE, *, app: str = "evalsite.wsgi", looks_at: str = "/accounts/login/"
) -> Iterator[tuple[str, int]]:
    """An application from a checkout, by gunicorn with two processes; its address and its first process."""
    from tests.servers.addresses import free_port

    port = free_port()
    environment = {**os.environ, "PYTHONPATH": str(code)}
    server = subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, *GUNICORN, app, "--bind", f"127.0.0.1:{port}", "--log-level", "warning", "--keep-alive", "30"],
        cwd=code,
        env=environment,
    )
    site = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                requests.get(site + looks_at, timeout=30)
                break
            except requests.RequestException:
                time.sleep(0.2)
        else:
            sys.exit(f"{app} does not answer at {site}.")
        yield site, server.pid
    finally:
        server.terminate()
        server.wait(20)


def cpu_below(process: int | None) -> float:
    """Seconds of CPU of a process, its children now and those that ended and were waited for."""
    if process is None:
        return 0.0
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return sum(_cpu(each, is_parent=each == process) for each in (process, *map(int, children)))


def _cpu(process: int, *, is_parent: bool) -> float:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    except FileNotFoundError:
        return 0.0  # it ended meanwhile and counts with its parent
    return sum(int(ticks) for ticks in fields[11 : 15 if is_parent else 13]) / _TICKS

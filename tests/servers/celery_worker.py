"""Real Celery workers: processes of their own, on the test's database, broker and data folder."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from django.conf import settings
from django.db import connection

from evalsite.box.children import Child, stop_together
from tests.servers.addresses import wait_until

SECONDS_TO_START = 400
"""Importing torch three times takes minutes where twenty other programs want the same two cores."""


def test_database_url() -> str:
    """DATABASE_URL of the database that tests use now."""
    given = connection.settings_dict
    name = quote(str(given["NAME"]))
    if connection.vendor == "sqlite":
        return f"sqlite:///{name}"
    return f"postgres://{given['USER']}:{given['PASSWORD']}@{given['HOST']}:{given['PORT']}/{name}"


class CeleryWorker:
    """One `celery worker` process."""

    def __init__(
        self,
        *,
        queues: str,
        broker_url: str,
        has_beat: bool,
        environment: Mapping[str, str],
        log: Path,
        app: str = "evalsite",
        waits: bool = True,
    ) -> None:
        """Start it and, unless told otherwise, wait until it takes tasks."""
        self._log = log
        self._child = Child(
            f"worker for {queues}",
            [
                *(sys.executable, "-m", "celery", "--app", app, "worker", "--queues", queues),
                *("--hostname", f"{log.stem}@%h", "--pool", "prefork", "--concurrency", "1", "--loglevel", "INFO"),
                *("--without-gossip", "--without-mingle", *(["--beat"] if has_beat else [])),
                *("--schedule", str(log.with_suffix(".beat"))),
            ],
            log=log,
            environment={
                **os.environ,
                "DATABASE_URL": test_database_url(),
                "CELERY_BROKER_URL": broker_url,
                "WINRATE_DATA_DIR": str(settings.DATA_DIR),
                "OMP_NUM_THREADS": "1",
                "OMP_WAIT_POLICY": "passive",
                **environment,
            },
            folder=settings.BASE_DIR,
            patience=20,
        )
        if waits:
            self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Wait until it takes tasks."""
        wait_until(self._is_ready_or_dead, seconds=SECONDS_TO_START, what=f"the worker is ready (its log: {self._log})")
        assert self._child.exit_code() is None, "\n".join(self._child.last_lines(40))

    def _is_ready_or_dead(self) -> bool:
        return self._child.exit_code() is not None or any(line.endswith(" ready.") for line in self.lines())

    @property
    def pid(self) -> int:
        """The process that supervises the pool."""
        return self._child.pid

    def is_alive(self) -> bool:
        """Whether its supervising process runs."""
        return self._child.exit_code() is None

    def ask_to_stop(self) -> None:
        """SIGTERM, and no waiting."""
        self._child.ask_to_stop()

    def lines(self) -> list[str]:
        """What it has logged."""
        return self._child.last_lines(10_000)

    def stop(self) -> None:
        """End it after the task in hand."""
        stop_together([self._child])

    def kill(self) -> None:
        """End it and its pool as a power cut would."""
        self._child.kill()

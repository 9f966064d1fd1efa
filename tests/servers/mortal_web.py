"""The site as production runs it: gunicorn with two processes of four threads, which tests may kill and start again."""

import os
import signal
import sys
from pathlib import Path

import psutil
import requests
from django.conf import settings

from evalsite.box.children import Child
from tests.servers.addresses import free_port, wait_until

SECONDS_TO_START = 300


class WebServer:
    """One server; `url` stays the same over restarts."""

    def __init__(self, *, database_url: str, log: Path, **environment: str) -> None:
        """Start it and wait until it answers."""
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._log = log
        self._environment = {
            **os.environ,
            "DATABASE_URL": database_url,
            "CELERY_BROKER_URL": "memory://",
            "WINRATE_DATA_DIR": str(settings.DATA_DIR),
            **environment,
        }
        self.start()
        self.wait_until_answering()

    def start(self) -> None:
        """Start (again), as a supervisor would, and not wait."""
        command = [
            *(sys.executable, "-m", "gunicorn", "evalsite.wsgi", "--bind", f"127.0.0.1:{self._port}"),
            *("--worker-class", "gthread", "--workers", "2", "--threads", "4", "--preload"),
            *("--graceful-timeout", "5", "--no-control-socket", "--log-level", "warning"),
        ]
        self._child = Child(
            "web server", command, log=self._log, environment=self._environment, folder=settings.BASE_DIR
        )

    def wait_until_answering(self) -> None:
        """Wait until a page comes that needs no database."""
        wait_until(self._answers_or_ended, seconds=SECONDS_TO_START, what=f"the site answers (its log: {self._log})")
        assert self._child.exit_code() is None, "\n".join(self._child.last_lines(40))

    def _answers_or_ended(self) -> bool:
        if self._child.exit_code() is not None:
            return True
        try:
            requests.get(f"{self.url}/accounts/login/", timeout=10)
        except requests.RequestException:
            return False
        return True

    def processes(self) -> dict[str, psutil.Process]:
        """The master and its workers, by name."""
        master = psutil.Process(self._child.pid)
        workers = sorted(master.children(), key=lambda process: process.pid)
        return {"web master": master} | {f"web worker {n}": process for n, process in enumerate(workers, start=1)}

    def kill_worker(self) -> None:
        """kill -9 of one of the processes that answer; the master starts another."""
        workers = psutil.Process(self._child.pid).children()
        os.kill(min(workers, key=lambda process: process.create_time()).pid, signal.SIGKILL)

    def kill_all(self) -> None:
        """kill -9 of master and workers."""
        self._child.kill()

    def log_text(self) -> str:
        """What it has logged."""
        return self._log.read_text()

    def stop(self) -> None:
        """End it after the requests in hand."""
        self._child.ask_to_stop()
        self._child.wait(until=0)

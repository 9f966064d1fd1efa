"""A real gunicorn with the configuration of deploy/, on the test's database and data folder."""

import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from django.conf import settings

from evalsite.box.children import Child, stop_together
from tests.servers.addresses import free_port, wait_until
from tests.servers.celery_worker import test_database_url


class WebServer:
    """One gunicorn with one process; `address` is host and port."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        """Start it and wait until it answers."""
        self.address = f"127.0.0.1:{free_port()}"
        self._child = Child(
            "web server",
            [
                *(sys.executable, "-m", "gunicorn", "evalsite.wsgi", "--config", "deploy/gunicorn.conf.py"),
                *("--bind", self.address, "--workers", "1"),
            ],
            log=folder / "web.log",
            environment={
                **{name: value for name, value in os.environ.items() if name != "DJANGO_ALLOW_ASYNC_UNSAFE"},
                "DATABASE_URL": test_database_url(),
                "SECRET_KEY": str(settings.SECRET_KEY),
                **environment,
            },
            folder=settings.BASE_DIR,
        )
        wait_until(self._answers_or_is_dead, seconds=120, what="the web server answers")
        assert self._child.exit_code() is None, "\n".join(self._child.last_lines())

    def _answers_or_is_dead(self) -> bool:
        if self._child.exit_code() is not None:
            return True
        try:
            urllib.request.urlopen(f"http://{self.address}/healthz", timeout=5).close()  # noqa: S310 - our own
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    def stop(self) -> None:
        """End it."""
        stop_together([self._child])

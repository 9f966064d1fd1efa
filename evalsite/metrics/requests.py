"""Requests, counted by each web process in a file of its own and summed over all of this host when they are read."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from django.conf import settings
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.multiprocess import MultiProcessCollector

from evalsite.metrics import catalogue

SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 10.0)
METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
FORGOTTEN_AFTER: Final = 7 * 24 * 3600.0

# Not the library's own registry: what is read comes from the files of all processes.
_registry = CollectorRegistry()
_requests = Counter(catalogue.REQUESTS.name, catalogue.REQUESTS.meaning, catalogue.REQUESTS.labels, registry=_registry)
_seconds = Histogram(
    catalogue.REQUEST_SECONDS.name,
    catalogue.REQUEST_SECONDS.meaning,
    catalogue.REQUEST_SECONDS.labels,
    buckets=SECONDS,
    registry=_registry,
)


def folder() -> Path:
    """Where this host's processes count. Hosts that share a data folder have the same process numbers."""
    return Path(settings.METRICS_FOLDER)


def count(*, route: str, method: str, status: int, seconds: float) -> None:
    """One request more. A method that nobody knows is no reason for another series."""
    _requests.labels(route, method if method in METHODS else "other", str(status)).inc()
    _seconds.labels(route).observe(seconds)


def families() -> Iterator[Family]:
    """The sums over all processes of this host since its web server started."""
    collector = MultiProcessCollector(None, path=str(folder()))  # type: ignore[no-untyped-call]
    yield from collector.collect()  # type: ignore[no-untyped-call]


def begin_anew() -> None:
    """Forget what earlier processes counted: called once, before a web server starts its processes.

    Folders of hosts that were not asked for a week go too: containers have a new name each time.
    """
    own = folder()
    shutil.rmtree(own, ignore_errors=True)
    own.mkdir(mode=0o700, parents=True, exist_ok=True)
    for other in own.parent.iterdir():
        if other.is_dir() and time.time() - other.stat().st_mtime > FORGOTTEN_AFTER:
            shutil.rmtree(other, ignore_errors=True)


def keep_alive() -> None:
    """Say that this host's folder is in use."""
    os.utime(folder())

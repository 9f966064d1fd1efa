"""Requests, counted by each web process in a file of its own and summed over all of this host when they are read."""

import fcntl
import logging
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

from evalsite.metrics import catalogue, folding

SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 10.0)
METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
FORGOTTEN_AFTER: Final = 7 * 24 * 3600.0
FILE_BYTES: Final = 1 << 20
SECONDS_BETWEEN_TRIES: Final = 30.0

logger = logging.getLogger(__name__)

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
    """One request more, or none where this process cannot count: no request fails for that.

    A method that nobody knows is no reason for another series.
    """
    if not _has_room():
        return
    _requests.labels(route, method if method in METHODS else "other", str(status)).inc()
    _seconds.labels(route).observe(seconds)


def families() -> Iterator[Family]:
    """The sums over all processes of this host since its web server started, ended ones too."""
    if not folder().is_dir():
        return
    collector = MultiProcessCollector(None, path=str(folder()))  # type: ignore[no-untyped-call]
    with folding.locked(folder(), fcntl.LOCK_SH):
        found = list(collector.collect())  # type: ignore[no-untyped-call]
    yield from found


def fold_ended() -> None:
    """Move what ended processes counted into one file."""
    if folder().is_dir():
        folding.fold_ended(folder())


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
    if folder().is_dir():
        os.utime(folder())


_counts_since_fork: int | None = None
_tries_again_at = float("-inf")


def _has_room() -> bool:
    """Whether this process's files are there with all of their blocks.

    They are written through memory: on a full disk the first touch of a block that is not there kills the process.
    """
    global _counts_since_fork, _tries_again_at
    process = os.getpid()
    if _counts_since_fork == process:
        return True
    if time.monotonic() < _tries_again_at:
        return False
    try:
        folder().mkdir(mode=0o700, parents=True, exist_ok=True)
        for kind in folding.KINDS:
            _reserve(folder() / f"{kind}_{process}.db")
    except OSError as error:
        logger.warning("Requests are not counted for now: %s", error)
        _tries_again_at = time.monotonic() + SECONDS_BETWEEN_TRIES
        return False
    _counts_since_fork = process
    return True


def _reserve(path: Path) -> None:
    """Zeros up to the size that prometheus_client gives its files, as blocks of the disk and not as a hole."""
    with path.open("ab") as file:
        if file.tell() < FILE_BYTES:
            try:
                file.write(bytes(FILE_BYTES - file.tell()))
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                path.unlink(missing_ok=True)
                raise

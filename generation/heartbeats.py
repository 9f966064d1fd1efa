"""Living workers as rows, by the database's clock; and the thread that keeps a busy worker's row and leases alive."""

import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import QuerySet
from django.db.models.functions import Now

from generation import jobs
from generation.models import ImageJob, WorkerHeartbeat
from generation.timetable import GENERATION_QUEUE

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_BEATS: Final = settings.SECONDS_BETWEEN_BEATS
ALIVE_WITHIN: Final = timedelta(seconds=45)
FORGOTTEN_AFTER: Final = timedelta(hours=1)
# A worker whose batch makes no step for so long hangs: its lease is left to run out, so that another takes the jobs.
LONGEST_STEP_SECONDS: Final = 600.0


def this_worker() -> str:
    """The name of this process in rows: host and process number."""
    return f"{socket.gethostname()}:{os.getpid()}"


def beat_heart(
    *, worker: str, queues: Sequence[str], weights: Sequence[str] = (), loaded: Sequence[str] = (), device: str = ""
) -> None:
    """Say that this worker is alive now and what it can do."""
    WorkerHeartbeat.objects.update_or_create(
        worker=worker,
        defaults={
            "host": socket.gethostname(),
            "queues": sorted(queues),
            "weights": sorted(weights),
            "loaded": list(loaded),
            "device": device,
            "seen_at": Now(),
        },
    )


def living_workers() -> QuerySet[WorkerHeartbeat]:
    """Workers seen within the last 45 seconds."""
    return WorkerHeartbeat.objects.filter(seen_at__gt=Now() - ALIVE_WITHIN)


def served_queues() -> set[str]:
    """Queues that a living worker takes messages from."""
    return {queue for queues in living_workers().values_list("queues", flat=True) for queue in queues}


def idle_image_workers() -> int:
    """Living image workers that hold no job now."""
    held = ImageJob.objects.filter(state=ImageJob.State.RUNNING, lease_until__gt=Now())
    busy = set(held.values_list("worker", flat=True))
    living = living_workers().values_list("worker", "queues")
    return sum(GENERATION_QUEUE in queues and worker not in busy for worker, queues in living)


def forget_silent_workers() -> int:
    """Drop rows of workers that have been silent for an hour; how many."""
    count, _ = WorkerHeartbeat.objects.filter(seen_at__lt=Now() - FORGOTTEN_AFTER).delete()
    return count


class BusyHeart:
    """While a batch is in work, keeps the worker's row fresh and its leases long, from a thread of its own.

    An idle worker is seen through the `heartbeat` messages it takes from its queue, a busy one through this thread:
    so a process that is alive but has lost its broker falls silent instead of looking well.
    """

    def __init__(self, *, worker: str, job_ids: Sequence[int]) -> None:
        self.worker = worker
        self.job_ids = list(job_ids)
        self._stop = threading.Event()
        self._progressed_at = time.monotonic()

    def progressed(self) -> None:
        """The batch came one step further."""
        self._progressed_at = time.monotonic()

    @contextlib.contextmanager
    def beating(self) -> Iterator["BusyHeart"]:
        """Beat until the block ends."""
        thread = threading.Thread(target=self._run, name="heart", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()

    def _run(self) -> None:
        while not self._stop.wait(SECONDS_BETWEEN_BEATS):
            if time.monotonic() - self._progressed_at > LONGEST_STEP_SECONDS:
                logger.error("%s made no step for %d s; its lease runs out.", self.worker, LONGEST_STEP_SECONDS)
                break
            try:
                jobs.renew(worker=self.worker, job_ids=self.job_ids)
                WorkerHeartbeat.objects.filter(worker=self.worker).update(seen_at=Now())
            except DatabaseError as error:
                # One beat less: the lease outlives several of them, and the database may be back at the next.
                logger.warning("The heart of %s missed a beat: %s", self.worker, error)
        connection.close()

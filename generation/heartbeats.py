"""Living workers as rows, by the database's clock; and the thread that keeps a busy worker's row and leases alive."""

import contextlib
import faulthandler
import logging
import os
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import QuerySet
from django.db.models.functions import Now

from generation import jobs
from generation.capabilities import is_image_queue
from generation.models import ImageJob, WorkerHeartbeat
from generation.timetable import EXIT_HUNG
from generation.worker_tallies import tallies

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_BEATS: Final = settings.SECONDS_BETWEEN_BEATS
ALIVE_WITHIN: Final = timedelta(seconds=45)
FORGOTTEN_AFTER: Final = timedelta(hours=1)
SECONDS_TO_SAY_WHY: Final = 15.0


def this_worker() -> str:
    """The name of this process in rows: host and process number."""
    return f"{socket.gethostname()}:{os.getpid()}"


def beat_heart(
    *,
    worker: str,
    queues: Sequence[str],
    weights: Sequence[str] = (),
    fetchable: Sequence[str] = (),
    loaded: Sequence[str] = (),
    device: str = "",
) -> None:
    """Say that this worker is alive now, what it can do and what it has done."""
    WorkerHeartbeat.objects.update_or_create(
        worker=worker,
        defaults={
            "host": socket.gethostname(),
            "queues": sorted(queues),
            "weights": sorted(weights),
            "fetchable": sorted(fetchable),
            "loaded": list(loaded),
            "device": device,
            "job_ids": [],
            "seen_at": Now(),
            **asdict(tallies),
        },
    )


def living_workers() -> QuerySet[WorkerHeartbeat]:
    """Workers seen within the last 45 seconds."""
    return WorkerHeartbeat.objects.filter(seen_at__gt=Now() - ALIVE_WITHIN)


def served_queues() -> set[str]:
    """Queues that a living worker takes messages from."""
    return {queue for queues in living_workers().values_list("queues", flat=True) for queue in queues}


def idle_image_workers() -> Counter[str]:
    """Living image workers that hold no job now, counted by queue; a queue whose workers are all busy counts 0."""
    held = ImageJob.objects.filter(state=ImageJob.State.RUNNING, lease_until__gt=Now())
    busy = set(held.values_list("worker", flat=True))
    idle: Counter[str] = Counter()
    for worker, queues in living_workers().values_list("worker", "queues"):
        for queue in filter(is_image_queue, queues):
            idle[queue] += worker not in busy
    return idle


def forget_silent_workers() -> int:
    """Drop rows of workers that have been silent for an hour; how many."""
    count, _ = WorkerHeartbeat.objects.filter(seen_at__lt=Now() - FORGOTTEN_AFTER).delete()
    return count


def end_process(sentence: str) -> None:
    """End this process at once, so that its supervisor starts another: a hung call cannot be interrupted."""
    logger.critical("%s The process ends itself.", sentence)
    logging.shutdown()
    os._exit(EXIT_HUNG)


class BusyHeart:
    """While a batch is in work, keeps the worker's row fresh and its leases long, from a thread of its own.

    An idle worker is seen through the `heartbeat` messages it takes from its queue, a busy one through this thread:
    so a process that is alive but has lost its broker falls silent instead of looking well. A batch that makes no step
    for too long hangs: its jobs get the reason, and the process ends.
    """

    def __init__(
        self,
        *,
        worker: str,
        job_ids: Sequence[int],
        step_seconds: float | None = None,
        end: Callable[[str], None] = end_process,
    ) -> None:
        self.worker = worker
        self.job_ids = list(job_ids)
        self.step_seconds = settings.STEP_SECONDS if step_seconds is None else step_seconds
        self._end = end
        self._stop = threading.Event()
        self._progressed_at = time.monotonic()

    def progressed(self) -> None:
        """The batch came one step further."""
        self._progressed_at = time.monotonic()
        self._arm()

    @contextlib.contextmanager
    def beating(self) -> Iterator["BusyHeart"]:
        """Beat until the block ends."""
        thread = threading.Thread(target=self._run, name="heart", daemon=True)
        thread.start()
        self.progressed()
        try:
            yield self
        finally:
            self._stop.set()
            if self._is_armed:
                faulthandler.cancel_dump_traceback_later()
            thread.join()

    @property
    def _is_armed(self) -> bool:
        return self._end is end_process and sys.__stderr__ is not None

    def _arm(self) -> None:
        # Where the hung call holds the interpreter, no thread of Python runs any more: this one is not of Python.
        if self._is_armed and sys.__stderr__ is not None and not self._stop.is_set():
            faulthandler.dump_traceback_later(self.step_seconds + SECONDS_TO_SAY_WHY, exit=True, file=sys.__stderr__)

    def _run(self) -> None:
        beat_at = time.monotonic() + SECONDS_BETWEEN_BEATS
        while not self._stop.wait(min(SECONDS_BETWEEN_BEATS, self.step_seconds) / 4):
            if time.monotonic() - self._progressed_at > self.step_seconds:
                self._give_up()
                break
            if time.monotonic() >= beat_at:
                beat_at = time.monotonic() + SECONDS_BETWEEN_BEATS
                self._beat()
        connection.close()

    def _beat(self) -> None:
        try:
            jobs.renew(worker=self.worker, job_ids=self.job_ids)
            WorkerHeartbeat.objects.filter(worker=self.worker).update(
                seen_at=Now(), job_ids=self.job_ids, **asdict(tallies)
            )
        except DatabaseError as error:
            # One beat less: the lease outlives several of them, and the database may be back at the next.
            logger.warning("The heart of %s missed a beat: %s", self.worker, error)

    def _give_up(self) -> None:
        reason = f"timeout: {self.worker} made no sampling step for {self.step_seconds:g} s."
        try:
            jobs.time_out(self.job_ids, worker=self.worker, reason=reason)
        except DatabaseError as error:
            # Then the lease runs out, and the reconciler brings the jobs back.
            logger.warning("The hung jobs of %s keep their lease: %s", self.worker, error)
        self._end(reason)

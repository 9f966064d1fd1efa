"""A cancelled run ends between two steps of a batch: who still wants the images, asked seldom enough."""

import time
from collections.abc import Callable, Sequence
from typing import Final

from django.db import DatabaseError, transaction
from django.db.models import Exists, F, OuterRef

from generation.models import ImageJob, RunItem

SECONDS_BETWEEN_LOOKS: Final = 2.0


class Cancelled(Exception):
    """Nobody wants the batch in work any more. No failure: the jobs are settled by `give_up`, no reason is stored."""


def still_wanted(job_ids: Sequence[int]) -> bool:
    """Whether a run that is not cancelled wants any of these jobs; a paused run does, its batches are finished."""
    return RunItem.objects.filter(job__in=job_ids, run__cancelled_at__isnull=True).exists()


class CancelWatch:
    """Looks whether a batch is still wanted, at most every two seconds, however often it is asked.

    Call it from the callback of each step. A database that is away for a moment stops no batch.
    """

    def __init__(self, job_ids: Sequence[int], *, clock: Callable[[], float] = time.monotonic) -> None:
        self.job_ids = list(job_ids)
        self._clock = clock
        self._looked_at = clock()

    def __call__(self) -> None:
        """Raises Cancelled once no run wants the batch."""
        if self._clock() - self._looked_at < SECONDS_BETWEEN_LOOKS:
            return
        self._looked_at = self._clock()
        try:
            is_wanted = still_wanted(self.job_ids)
        except DatabaseError:
            return
        if not is_wanted:
            raise Cancelled


def give_up(*, worker: str, job_ids: Sequence[int]) -> int:
    """Settle the jobs of a batch that was stopped by Cancelled; how many were cancelled.

    A job that a run has asked for in the meantime goes back to the queue, and the attempt does not count.
    """
    mine = ImageJob.objects.filter(pk__in=job_ids, worker=worker, state=ImageJob.State.RUNNING)
    wanted = Exists(RunItem.objects.filter(job=OuterRef("pk"), run__cancelled_at__isnull=True))
    with transaction.atomic():
        mine.filter(wanted).update(
            state=ImageJob.State.PENDING, lease_until=None, worker="", attempts=F("attempts") - 1
        )
        return mine.update(state=ImageJob.State.CANCELLED, lease_until=None)

"""Runs that stop because nothing can be stored, and go on by themselves when it can again."""

import logging
from collections.abc import Iterable

from django.db.models.functions import Now

from generation import image_store, planning
from generation.hints import hint_workers
from generation.models import ImageJob, Run

logger = logging.getLogger(__name__)


def pause_runs_of(batch: Iterable[ImageJob], *, reason: str) -> int:
    """Pause every run that wants these jobs, with the reason; how many. Trying on would fail image after image."""
    going = Run.objects.filter(jobs__in=[job.pk for job in batch], paused_at=None, cancelled_at=None)
    runs = list(going.distinct())
    count = Run.objects.filter(pk__in=[run.pk for run in runs]).update(paused_at=Now(), pause_reason=reason)
    for run in runs:
        planning.settle(run)
    if count:
        logger.error("%s %d runs are paused and go on by themselves.", reason, count)
    return count


def resume_runs_if_there_is_room() -> int:
    """Let runs that were paused for the storage go on, if a file of some size can be stored now; how many."""
    waiting = Run.objects.exclude(paused_at=None).exclude(pause_reason="").filter(cancelled_at=None)
    if not waiting.exists() or not image_store.has_room():
        return 0
    count = planning.let_go_on(waiting)
    logger.info("The image store can be written again: %d runs go on.", count)
    hint_workers()
    return count

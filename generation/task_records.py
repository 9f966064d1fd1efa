"""How each kind of task went last, as rows: a failed one leaves no other trace that outlives the log."""

import logging
import time
from typing import Final

from django.db import DatabaseError
from django.db.models import F
from django.db.models.functions import Now

from generation.models import TaskRecord

logger = logging.getLogger(__name__)
SECONDS_BETWEEN_NOTES: Final = 30.0
LONGEST_ERROR: Final = 500
_noted_at: dict[str, float] = {}


def note_success(name: str, *, seconds: float) -> None:
    """A task of this name has ended well; written at most twice a minute by each process, for some run every second."""
    now = time.monotonic()
    if now - _noted_at.get(name, float("-inf")) < SECONDS_BETWEEN_NOTES:
        return
    _noted_at[name] = now
    try:
        TaskRecord.objects.update_or_create(name=name, defaults={"succeeded_at": Now(), "seconds": seconds})
    except DatabaseError as error:
        logger.warning("That %s went well is not noted: %s", name, error)


def note_failure(name: str, *, error: BaseException) -> None:
    """A task of this name has failed; the next success is written at once."""
    _noted_at.pop(name, None)
    said = (str(error).strip().split("\n")[0] or "no message").replace("\0", "")
    try:
        row, _ = TaskRecord.objects.get_or_create(name=name)
        TaskRecord.objects.filter(pk=row.pk).update(
            failed_at=Now(), failures=F("failures") + 1, error=f"{type(error).__name__}: {said}"[:LONGEST_ERROR]
        )
    except DatabaseError as trouble:
        logger.warning("That %s failed is not noted: %s", name, trouble)


def failing() -> list[TaskRecord]:
    """Tasks whose last run that we know of failed, the newest failure first."""
    failed = TaskRecord.objects.filter(failed_at__isnull=False).order_by("-failed_at")
    return [row for row in failed if row.succeeded_at is None or row.failed_at and row.failed_at > row.succeeded_at]

"""Limits within a minute that all web processes share, counted in the database and forgotten after an hour."""

from datetime import timedelta
from typing import Final

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.crypto import salted_hmac

from arena.models import MinuteCount

_KEPT: Final = timedelta(hours=1)


def count_one(what: str, *, most: int) -> int | None:
    """Count one more within this minute; the row's number, or None where there were `most` already.

    One conditional UPDATE: processes cannot overtake each other.
    """
    code = salted_hmac("minute-count", what, algorithm="sha256").hexdigest()
    minute = timezone.now().replace(second=0, microsecond=0)
    row = MinuteCount.objects.filter(code=code, minute=minute)
    with transaction.atomic():
        MinuteCount.objects.bulk_create([MinuteCount(code=code, minute=minute)], ignore_conflicts=True)
        if not row.filter(number__lt=most).update(number=F("number") + 1):
            return None
        return row.values_list("pk", flat=True).get()


def take_back(rows: list[int]) -> None:
    """One less in each of these rows."""
    MinuteCount.objects.filter(pk__in=rows, number__gt=0).update(number=F("number") - 1)


def forget_old() -> int:
    """Throw away counts of minutes that are over; returns how many."""
    return MinuteCount.objects.filter(minute__lt=timezone.now() - _KEPT).delete()[0]

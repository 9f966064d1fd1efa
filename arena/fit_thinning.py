"""Of fits that later ones took the place of a few are kept: a busy study is fitted thousands of times a day.

Pages read the newest alone, and the votes that an earlier one saw give it again. So of the last day one an hour stays,
and of older days one each: enough to see what a page said then.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Model
from django.utils import timezone

from arena.models import BoardFit, Fit, FrontSorting

YOUNG: Final = timedelta(hours=1)
"""What pages, running totals or a fit in work may still hold is left alone for so long."""

_GROUPS: Final[dict[type[Model], tuple[str, ...]]] = {
    Fit: ("study", "criterion", "selection_digest", "options_digest"),
    FrontSorting: ("study",),
    BoardFit: ("board", "criterion_key", "frame_digest"),
}
"""Within which the later of two rows takes the place of the earlier."""
_AT_ONCE: Final = 500


def thin_out(now: datetime | None = None) -> int:
    """Delete what is neither the last of its hour nor, where it is older than a day, of its day; returns how many."""
    now = now or timezone.now()
    number = 0
    for model, group in _GROUPS.items():
        passed = list(_passed(model, group, now))
        for start in range(0, len(passed), _AT_ONCE):
            number += model._default_manager.filter(pk__in=passed[start : start + _AT_ONCE]).delete()[0]
    return number


def _passed(model: type[Model], group: tuple[str, ...], now: datetime) -> Iterator[int]:
    last: dict[tuple[Any, ...], int] = {}
    rows = model._default_manager.filter(created_at__lt=now - YOUNG).order_by("pk")
    for pk, made_at, *key in rows.values_list("pk", "created_at", *group):
        is_of_today = made_at > now - timedelta(days=1)
        slot = (*key, made_at.replace(minute=0, second=0, microsecond=0) if is_of_today else made_at.date())
        if slot in last:
            yield last[slot]
        last[slot] = pk

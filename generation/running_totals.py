"""Totals over rows that are appended and never changed, at a cost that does not grow: settled rows are kept summed.

Rows become visible out of the order of their ids, for a transaction commits long after it took one. So the youngest
are counted anew each time, and join the kept sums ten minutes after they were the newest.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.core.cache import caches
from django.db.models import Aggregate, Max, QuerySet

SETTLED_AFTER: Final = 600.0
YOUNG_AT_FIRST: Final = 20_000
COUNTED_ANEW_AFTER: Final = 24 * 3600.0
"""Whatever a longer transaction hid from the kept sums is found again within a day."""

Sums = dict[tuple[str, ...], tuple[float, ...]]


@dataclass(frozen=True)
class Kept:
    """Sums over the rows up to an id; `newest` was the newest row at `looked_at`."""

    sums: Sums
    upto: int
    newest: int
    looked_at: float
    begun_at: float


def totals(
    rows: QuerySet[Any],
    *,
    name: str,
    by: Sequence[str] = (),
    sums: Mapping[str, Aggregate],
    are_kept: bool = True,
    now: float | None = None,
) -> Sums:
    """The sums of each group, in the order in which they are given.

    rows:     of one table, never changed in what is grouped and summed
    name:     under which settled sums are kept in the shared cache; losing them costs one look at all rows
    are_kept: whether the rows stay; those that are deleted, an hour after they came or later, go on counting as long
              as the cache keeps the sums
    """
    now = time.time() if now is None else now
    rows = rows.order_by()
    newest = int(rows.aggregate(newest=Max("pk"))["newest"] or 0)
    cache = caches["sums"]
    kept = _settled(
        rows, cache.get(f"running-total:{name}"), newest=newest, by=by, sums=sums, recounts=are_kept, now=now
    )
    cache.set(f"running-total:{name}", kept, None)
    return _added(kept.sums, _summed(rows.filter(pk__gt=kept.upto), by, sums))


def forget(name: str) -> None:
    """Throw kept sums away."""
    caches["sums"].delete(f"running-total:{name}")


def _settled(
    rows: QuerySet[Any],
    kept: Kept | None,
    *,
    newest: int,
    by: Sequence[str],
    sums: Mapping[str, Aggregate],
    recounts: bool,
    now: float,
) -> Kept:
    is_old = kept is not None and recounts and now - kept.begun_at > COUNTED_ANEW_AFTER
    # A restored backup may hold fewer rows than were counted before it.
    if kept is None or is_old or newest < kept.newest or now < kept.looked_at:
        upto = max(0, newest - YOUNG_AT_FIRST)
        counted = _summed(rows.filter(pk__lte=upto), by, sums) if upto else {}
        return Kept(sums=counted, upto=upto, newest=newest, looked_at=now, begun_at=now)
    if now - kept.looked_at < SETTLED_AFTER:
        return kept
    came = _summed(rows.filter(pk__gt=kept.upto, pk__lte=kept.newest), by, sums)
    return Kept(sums=_added(kept.sums, came), upto=kept.newest, newest=newest, looked_at=now, begun_at=kept.begun_at)


def _summed(rows: QuerySet[Any], by: Sequence[str], sums: Mapping[str, Aggregate]) -> Sums:
    if not by:
        return {(): tuple(float(value or 0) for value in rows.aggregate(**sums).values())}
    found = rows.values_list(*by).annotate(**sums)
    groups = len(by)
    return {
        tuple(str(word) for word in row[:groups]): tuple(float(value or 0) for value in row[groups:]) for row in found
    }


def _added(first: Sums, second: Sums) -> Sums:
    result = dict(first)
    for group, values in second.items():
        before = result.get(group)
        result[group] = values if before is None else tuple(a + b for a, b in zip(before, values, strict=True))
    return result

"""A large file into the database a little at a time: others write in between, and what was begun can be ended."""

from __future__ import annotations

import secrets
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final, TypeVar

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import QuerySet

from arena.bulk_rows import insertion
from arena.models import Study
from arena.refusals import Refusal

ROWS_AT_ONCE: Final = 1_000
# SQLite lets no one in line: who waits for its lock asks again every tenth of a second, and must find it free once.
BREATH: Final = 0.11
# How long others should wait for a batch there, in seconds; on a busy machine a batch gets fewer rows, not more time.
LONGEST: Final = 0.1
_FEWEST_ROWS: Final = 50
_LONGEST_MARK: Final = 64
AnyLine = TypeVar("AnyLine")
Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is, and of how much."""


class OvertakenError(Refusal):
    """Another import of the same file is ahead; this one wrote nothing since."""


class Claim:
    """The right to write into a study that is being taken in. Who claims it later has it; the one before stops.

    source: what names the file, of which the first 64 characters count
    Raises OvertakenError where the study is whole by now.
    """

    def __init__(self, study: Study, source: str, *, progress: Progress | None = None) -> None:
        self.study = study
        self.at_once = ROWS_AT_ONCE
        self._progress = progress
        self._mark = f"{source[:_LONGEST_MARK]}:{secrets.token_hex(8)}"
        # Waits for a batch of the one before that is being written, so that what is read after this is all there is.
        begun = Study.objects.filter(pk=study.pk, taking_in__startswith=source[:_LONGEST_MARK])
        if not begun.update(taking_in=self._mark):
            sentence = f"Another import of this file has ended meanwhile: it is the study {study.slug}."
            raise OvertakenError(sentence, code="imported_already", field="file")

    @contextmanager
    def batch(self, rows: int = 0) -> Iterator[None]:
        """One short transaction. Raises OvertakenError where another import of the file has begun since.

        rows: how many it stores; from what they take follows how many the next one should have, `at_once`
        """
        is_inside = connection.in_atomic_block
        with transaction.atomic():
            held = Study.objects.filter(pk=self.study.pk, taking_in=self._mark)
            if not held.update(taking_in=self._mark):
                sentence = "Another import of this file has begun and goes on in its place."
                raise OvertakenError(sentence, code="taken_over", field="file")
            started = time.perf_counter()
            yield
        if connection.vendor == "sqlite" and not is_inside:
            if rows:
                fitting = round(rows * LONGEST / (time.perf_counter() - started))
                self.at_once = min(ROWS_AT_ONCE, max(_FEWEST_ROWS, fitting))
            time.sleep(BREATH)

    def name(self, slug: str) -> None:
        """Give the study the short name that it will have; one that was ended may have been begun under another."""
        with self.batch():
            Study.objects.filter(pk=self.study.pk).update(slug=slug)
        self.study.slug = slug

    def fill(
        self,
        stored: QuerySet[Any],
        lines: Iterable[AnyLine],
        row: Callable[[AnyLine], Mapping[str, Any]],
        *,
        what: str = "",
        number: int = 0,
    ) -> array[int]:
        """Store a row for each line but the first ones, which `stored` holds already. Ids by place.

        row: its values by name, as `insertion` takes them
        what, number: what progress is told of, and how many lines there are
        """
        made = ids_of(stored)
        left = islice(iter(lines), len(made), None)
        while chunk := list(islice(left, self.at_once)):
            store = insertion(stored.model, [row(line) for line in chunk])
            with self.batch(rows=len(chunk)):
                made.extend(store())
            if self._progress and what:
                self._progress(what, len(made), number)
        return made


def unfinished(source: str, *, owner: User | None, slug: str = "") -> Study | None:
    """The study into which an import of this file was being taken when that ended, for those who may go on with it.

    That is who began it. Where no owner is named, as at the command line, it is also somebody else's of the short name
    that is given; if none is given, anybody's.
    """
    begun = Study.objects.filter(taking_in__startswith=source[:_LONGEST_MARK]).order_by("pk")
    own, named = begun.filter(owner=owner), begun.filter(slug=slug)
    if owner is not None:
        return (named & own).first() or own.first()
    return named.first() or own.first() or (None if slug else begun.first())


def ids_of(stored: QuerySet[Any]) -> array[int]:
    """Ids in order, in eight bytes each."""
    return array("q", stored.order_by("pk").values_list("pk", flat=True).iterator(chunk_size=10_000))


def in_chunks(rows: Iterator[AnyLine]) -> Iterator[list[AnyLine]]:
    """Some at a time, at most as many as one transaction should write."""
    while chunk := list(islice(rows, ROWS_AT_ONCE)):
        yield chunk

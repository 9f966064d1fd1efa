"""A large bundle into the database a little at a time: others write in between, and what was begun can be ended."""

from __future__ import annotations

import secrets
import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final, TypeVar

from django.db import connection, transaction
from django.db.models import Model, QuerySet

from arena.bundles.layout import BundleError
from arena.models import Study

ROWS_AT_ONCE: Final = 1_000
# SQLite lets no one in line: who waits for its lock asks again every tenth of a second, and must find it free once.
BREATH: Final = 0.11
AnyModel = TypeVar("AnyModel", bound=Model)
AnyLine = TypeVar("AnyLine")


class Claim:
    """The right to write into a study that is being taken in. Who claims it later has it; the one before stops.

    Raises BundleError where the study is whole by now.
    """

    def __init__(self, study: Study, bundle: str) -> None:
        self.study = study
        self._mark = f"{bundle[:64]}:{secrets.token_hex(8)}"
        # Waits for a batch of the one before that is being written, so that what is read after this is all there is.
        begun = Study.objects.filter(pk=study.pk, taking_in__startswith=bundle[:64])
        if not begun.update(taking_in=self._mark):
            sentence = f"Another import of this bundle has ended meanwhile: it is the study {study.slug}."
            raise BundleError(sentence, code="imported_already")

    @contextmanager
    def batch(self) -> Iterator[None]:
        """One short transaction. Raises BundleError where another import of the bundle has begun since."""
        is_inside = connection.in_atomic_block
        with transaction.atomic():
            held = Study.objects.filter(pk=self.study.pk, taking_in=self._mark)
            if not held.update(taking_in=self._mark):
                raise BundleError(
                    "Another import of this bundle has begun and goes on in its place.", code="taken_over"
                )
            yield
        if connection.vendor == "sqlite" and not is_inside:
            time.sleep(BREATH)

    def name(self, slug: str) -> None:
        """Give the study the short name that it will have; one that was ended may have been begun under another."""
        with self.batch():
            Study.objects.filter(pk=self.study.pk).update(slug=slug)
        self.study.slug = slug

    def fill(
        self, stored: QuerySet[AnyModel], lines: Iterable[AnyLine], row: Callable[[AnyLine], AnyModel]
    ) -> array[int]:
        """Store a row for each line but the first ones, which `stored` holds already. Ids by place."""
        made = ids_of(stored)
        for chunk in in_chunks(islice(iter(lines), len(made), None)):
            rows = [row(line) for line in chunk]
            with self.batch():
                made.extend(insert(rows))
        return made


def unfinished(bundle: str) -> Study | None:
    """The study that a bundle of this name was being taken into when that ended."""
    return Study.objects.filter(taking_in__startswith=bundle[:64]).first()


def ids_of(stored: QuerySet[Any]) -> array[int]:
    """Ids in order, in eight bytes each."""
    return array("q", stored.order_by("pk").values_list("pk", flat=True).iterator(chunk_size=10_000))


def insert(rows: list[AnyModel]) -> list[int]:
    """Store rows of one kind; their ids."""
    return [row.pk for row in type(rows[0])._default_manager.bulk_create(rows)] if rows else []


def in_chunks(rows: Iterator[AnyLine]) -> Iterator[list[AnyLine]]:
    """Some at a time, at most as many as one transaction should write."""
    while chunk := list(islice(rows, ROWS_AT_ONCE)):
        yield chunk

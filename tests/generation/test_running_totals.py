"""Totals over appended rows: exact, also when rows land late, and never a look at what was summed before."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import caches
from django.db.models import Count, Sum

from generation import running_totals
from generation.models import Prompt, PromptSet
from generation.running_totals import SETTLED_AFTER, Sums

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    caches["sums"].clear()
    yield
    caches["sums"].clear()


@pytest.fixture
def prompt_set() -> PromptSet:
    return PromptSet.objects.create(name="words", version=1, digest="0" * 64)


def add(prompt_set: PromptSet, *pks: int, category: str = "a") -> None:
    Prompt.objects.bulk_create(
        Prompt(pk=pk, prompt_set=prompt_set, position=pk, text=str(pk), category=category) for pk in pks
    )


def totals(now: float) -> Sums:
    sums = {"count": Count("pk"), "positions": Sum("position")}
    return running_totals.totals(Prompt.objects.all(), name="prompts", by=["category"], sums=sums, now=now)


def test_nothing_is_nothing() -> None:
    assert totals(0.0) == {}
    assert running_totals.totals(Prompt.objects.all(), name="all", sums={"count": Count("pk")}) == {(): (0.0,)}


def test_what_was_settled_is_not_looked_at_again(prompt_set: PromptSet, django_assert_num_queries: Any) -> None:
    add(prompt_set, 1, 2)
    assert totals(0.0) == {("a",): (2.0, 3.0)}
    add(prompt_set, 3, category="b")
    assert totals(SETTLED_AFTER) == {("a",): (2.0, 3.0), ("b",): (1.0, 3.0)}
    Prompt.objects.filter(pk=1).delete()  # settled: nobody notices
    with django_assert_num_queries(2):
        assert totals(SETTLED_AFTER + 1) == {("a",): (2.0, 3.0), ("b",): (1.0, 3.0)}


def test_a_row_that_lands_late_under_a_low_id_is_counted(prompt_set: PromptSet) -> None:
    add(prompt_set, 1, 9)
    totals(0.0)
    add(prompt_set, 5)
    assert totals(SETTLED_AFTER - 1) == {("a",): (3.0, 15.0)}
    totals(SETTLED_AFTER)
    assert totals(2 * SETTLED_AFTER) == {("a",): (3.0, 15.0)}


def test_a_backup_with_fewer_rows_is_counted_anew(prompt_set: PromptSet) -> None:
    add(prompt_set, 1, 2, 3)
    totals(0.0)
    totals(SETTLED_AFTER)
    Prompt.objects.filter(pk__gte=2).delete()
    assert totals(SETTLED_AFTER + 1) == {("a",): (1.0, 1.0)}


def test_everything_is_counted_anew_once_a_day(prompt_set: PromptSet) -> None:
    add(prompt_set, 2, 3)
    totals(0.0)
    totals(SETTLED_AFTER)
    add(prompt_set, 1)  # hidden by a transaction of more than ten minutes
    assert totals(SETTLED_AFTER + 1) == {("a",): (2.0, 5.0)}
    assert totals(running_totals.COUNTED_ANEW_AFTER + 1) == {("a",): (3.0, 6.0)}

"""How each kind of task went last, told by Celery's own signals."""

from typing import Any

import pytest
from celery import shared_task
from django.db import DatabaseError

from generation import log_context, task_records
from generation.models import TaskRecord
from generation.worker_tallies import Tallies

pytestmark = pytest.mark.django_db
seen: list[dict[str, Any]] = []


@shared_task(name="tests.may_fail", ignore_result=True)
def may_fail(reason: str = "") -> None:
    seen.append(dict(log_context.noted()))
    if reason:
        raise RuntimeError(reason)


@pytest.fixture(autouse=True)
def _nothing_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_records, "_noted_at", {})


def test_a_failed_task_leaves_its_error_until_the_next_success() -> None:
    may_fail.apply()
    first = TaskRecord.objects.get(name="tests.may_fail")
    assert (first.failures, first.error, task_records.failing()) == (0, "", [])
    may_fail.apply(args=("it\nburst",))
    may_fail.apply(args=("again\0",))
    row = TaskRecord.objects.get()
    assert (row.failures, row.error, row.succeeded_at) == (2, "RuntimeError: again", first.succeeded_at)
    assert task_records.failing() == [row]
    may_fail.apply()
    assert task_records.failing() == []


def test_success_is_written_at_most_twice_a_minute(django_assert_num_queries: Any) -> None:
    task_records.note_success("often", seconds=0.1)
    with django_assert_num_queries(0):
        task_records.note_success("often", seconds=0.1)


def test_lines_of_a_task_say_which_it_is() -> None:
    seen.clear()
    may_fail.apply(task_id="1a2b3c4d-and-more")
    assert (seen, log_context.noted()) == ([{"task": "tests.may_fail/1a2b3c4d"}], {})


def test_a_database_that_is_away_makes_no_task_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise DatabaseError("gone")

    monkeypatch.setattr(TaskRecord.objects, "update_or_create", fail)
    monkeypatch.setattr(TaskRecord.objects, "get_or_create", fail)
    task_records.note_success("t", seconds=1.0)
    task_records.note_failure("t", error=ValueError("x"))


def test_a_forked_process_begins_with_nothing_done() -> None:
    counted = Tallies(images_made=3, out_of_memory=1)
    counted.note_memory(used=5, peak=3, total=9)
    assert counted.memory_peak == 5
    counted.begin()
    assert (counted.images_made, counted.out_of_memory, counted.memory_total) == (0, 0, 0)

"""Jobs of paused runs: out of the way of claims however many they are, and back when one of their runs goes on."""

import json
from typing import Any

import pytest
from django.db import connection
from django.db.models import QuerySet

from generation import choosing, jobs
from generation.models import ImageJob, Run
from generation.planning import add_to_run, cancel_run, pause_run, resume_run, retry_failed, set_priority
from generation.storage_pauses import pause_runs_of, resume_runs_if_there_is_room
from tests.generation.rows import make_recipe, make_run

pytestmark = pytest.mark.django_db


def priorities(run: Run) -> list[int]:
    return list(run.jobs.order_by("pk").values_list("priority", flat=True))


def rows_passed_over(query: QuerySet[Any]) -> int:
    """Rows that PostgreSQL read and threw away."""

    def removed(node: dict[str, Any]) -> int:
        own = node.get("Rows Removed by Filter", 0) * node["Actual Loops"]
        return int(own) + sum(removed(child) for child in node.get("Plans", ()))

    return removed(json.loads(query.explain(analyze=True, format="json"))[0]["Plan"])


def instructions_of(query: QuerySet[Any]) -> int:
    """How many hundreds of instructions SQLite carries out."""
    count = [0]

    def one_more() -> None:
        count[0] += 1

    connection.connection.set_progress_handler(one_more, 100)
    list(query)
    connection.connection.set_progress_handler(None, 100)
    return count[0]


def test_a_claim_costs_the_same_however_many_jobs_are_paused(django_assert_max_num_queries: Any) -> None:
    recipe = make_recipe()
    cost_of = instructions_of if connection.vendor == "sqlite" else rows_passed_over
    costs = []
    for prompts in (20, 2000):
        pause_run(make_run(prompts=prompts, recipes=[recipe], name=f"paused {prompts}"))
        going = make_run(prompts=1, recipes=[make_recipe(steps=prompts // 10)], name="going", priority=-1000)
        add_to_run(going, recipes=[recipe], prompt_texts=[f"another {prompts}"])
        costs.append(cost_of(choosing.heads()))
        with django_assert_max_num_queries(7):
            batch = jobs.claim(worker="w")
        batch += jobs.claim(worker="w")
        assert {job.prompt_text for job in batch} == {"prompt 0", f"another {prompts}"}
    assert costs[1] <= 2 * costs[0] + 50, costs  # of 2,000 jobs: PostgreSQL's planner looks at a dozen rows or at none


def test_jobs_are_held_while_every_run_that_wants_them_is_paused() -> None:
    one, two = make_run(prompts=2, name="one", priority=3), make_run(prompts=1, name="two", priority=-5)
    pause_run(one)
    assert priorities(one) == [-5, choosing.HELD]
    pause_run(two)
    assert priorities(one) == [choosing.HELD, choosing.HELD]
    assert not jobs.has_due_jobs()
    resume_run(two)
    assert priorities(one) == [-5, choosing.HELD]
    assert len(jobs.claim(worker="w")) == 1
    resume_run(one)
    assert priorities(one) == [-5, 3]
    assert len(jobs.claim(worker="w")) == 1


def test_a_run_that_starts_lifts_what_it_wants_of_a_paused_one() -> None:
    paused = make_run(prompts=3)
    pause_run(paused)
    make_run(prompts=1, name="new", priority=-7)
    assert priorities(paused) == [-7, choosing.HELD, choosing.HELD]
    add_to_run(paused, recipes=[make_recipe(steps=9)], prompt_texts=["prompt 0"])
    assert priorities(paused) == [-7, choosing.HELD, choosing.HELD, choosing.HELD]


def test_a_cancelled_run_leaves_jobs_of_a_paused_one_held() -> None:
    paused, going = make_run(prompts=1, name="paused"), make_run(prompts=1, name="going")
    pause_run(paused)
    assert cancel_run(going) == 0
    assert priorities(paused) == [choosing.HELD]
    resume_run(paused)
    assert len(jobs.claim(worker="w")) == 1


def test_what_was_in_work_or_failed_when_a_run_was_paused_comes_back_with_it() -> None:
    run = make_run(prompts=3)
    released, failed = jobs.claim(worker="w", most=2)
    pause_run(run)
    set_priority(run, 4)
    jobs.release([released], worker="w")
    jobs.fail([failed], worker="w", reason="no memory", is_retryable=False)
    assert jobs.claim(worker="w") == []
    resume_run(run)
    assert retry_failed(run) == 1
    assert priorities(run) == [4, 4, 4]
    assert len(jobs.claim(worker="w")) == 3


def test_a_pause_for_the_storage_holds_jobs_too() -> None:
    run = make_run(prompts=20)
    batch = jobs.claim(worker="w")
    assert pause_runs_of(batch, reason="full") == 1
    jobs.release(batch, worker="w")
    assert not ImageJob.objects.exclude(pk__in=[job.pk for job in batch]).exclude(priority=choosing.HELD).exists()
    assert resume_runs_if_there_is_room() == 1
    run.refresh_from_db()
    assert (run.paused_at, run.pause_reason) == (None, "")
    assert set(priorities(run)) == {0}
    assert len(jobs.claim(worker="w")) == 8

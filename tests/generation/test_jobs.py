"""A job's life, one worker at a time. Races between processes are in test_claim_races."""

from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import DateTimeField, ExpressionWrapper, F
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from generation import jobs
from generation.models import Checkpoint, Image, ImageJob, Recipe
from generation.planning import pause_run
from tests.generation.rows import image_for, make_recipe, make_run

pytestmark = pytest.mark.django_db
State = ImageJob.State


def let_leases_run_out() -> None:
    ImageJob.objects.filter(state=State.RUNNING).update(lease_until=Now() - timedelta(seconds=1))


def rows() -> list[tuple[str, int, str]]:
    return list(ImageJob.objects.order_by("pk").values_list("state", "attempts", "worker"))


def test_a_claim_takes_a_micro_batch_of_one_recipe_in_planned_order() -> None:
    one, two = make_recipe(steps=1), make_recipe(steps=2)
    make_run(prompts=10, recipes=[one, two])
    batches = [jobs.claim(worker="w") for _ in range(5)]
    assert [[(job.recipe_id, job.prompt_text) for job in batch] for batch in batches] == [
        [(one.pk, f"prompt {k}") for k in range(8)],
        [(two.pk, f"prompt {k}") for k in range(8)],
        [(one.pk, "prompt 8"), (one.pk, "prompt 9")],
        [(two.pk, "prompt 8"), (two.pk, "prompt 9")],
        [],
    ]


def test_claimed_jobs_are_running_under_a_lease_by_the_databases_clock() -> None:
    make_run(prompts=2)
    jobs.claim(worker="w", most=1)
    assert rows() == [("running", 1, "w"), ("pending", 0, "")]
    end = ExpressionWrapper(Now() + jobs.LEASE, output_field=DateTimeField())
    near = ImageJob.objects.filter(lease_until__lte=end, lease_until__gt=Now() + jobs.LEASE - timedelta(seconds=20))
    assert near.count() == 1


def test_urgent_jobs_are_taken_first() -> None:
    make_run(prompts=2)
    urgent = make_run(prompts=1, recipes=[make_recipe(steps=9)], name="urgent", priority=1)
    assert [job.pk for job in jobs.claim(worker="w")] == [job.pk for job in urgent.jobs.all()]


def test_large_pictures_come_in_smaller_batches() -> None:
    recipe = make_recipe()
    Recipe.objects.filter(pk=recipe.pk).update(width=1024, height=1024)
    make_run(prompts=8, recipes=[recipe])
    assert len(jobs.claim(worker="w")) == 2


@pytest.mark.parametrize("offset_microseconds", [-1_000_000, -2_000, 2_000_000, 5_000_000_000])
def test_leases_compare_rightly_with_the_databases_clock(offset_microseconds: int) -> None:
    # SQLite keeps times as text, where a missing fraction or another format would compare wrongly.
    make_run(prompts=1)
    jobs.claim(worker="w")
    shift = timedelta(microseconds=offset_microseconds)
    ImageJob.objects.update(lease_until=ExpressionWrapper(Now() + shift, output_field=DateTimeField()))
    assert ImageJob.objects.due().exists() == (offset_microseconds < 0)


@pytest.mark.parametrize("microsecond", [0, 1, 999_999])
def test_leases_written_by_python_compare_like_those_written_by_the_database(microsecond: int) -> None:
    make_run(prompts=1)
    [job] = jobs.claim(worker="w")
    job.refresh_from_db()
    assert job.lease_until is not None
    for seconds, is_due in ((-120, True), (60, False)):
        moment = (job.lease_until + timedelta(seconds=seconds)).replace(microsecond=microsecond)
        ImageJob.objects.update(lease_until=moment)
        assert ImageJob.objects.due().exists() == is_due


def test_only_jobs_that_can_run_are_claimed() -> None:
    recipe = make_recipe(state=Recipe.State.CHECKING)
    run = make_run(prompts=1, recipes=[recipe])
    assert jobs.claim(worker="w") == []
    Recipe.objects.update(state=Recipe.State.READY)
    Checkpoint.objects.update(state=Checkpoint.State.DRAFT)
    assert jobs.claim(worker="w") == []
    Checkpoint.objects.update(state=Checkpoint.State.READY)
    pause_run(run)
    assert jobs.claim(worker="w") == []
    # Another run that wants the same image is not held up by the pause.
    make_run(prompts=1, recipes=[recipe], name="other")
    assert len(jobs.claim(worker="w")) == 1


def test_a_claim_can_be_restricted_to_one_run() -> None:
    make_run(prompts=2)
    mine = make_run(prompts=1, recipes=[make_recipe(steps=9)], name="mine")
    assert [job.recipe.name for job in jobs.claim(worker="w", run=mine)] == ["tiny, 9 steps"]
    assert jobs.claim(worker="w", run=mine) == []
    assert jobs.has_due_jobs()
    assert not jobs.has_due_jobs(mine)


def test_jobs_nobody_wants_any_more_are_left_alone() -> None:
    make_run(prompts=1).delete()
    assert jobs.claim(worker="w") == []


def test_an_expired_lease_comes_back_alone_and_keeps_its_count() -> None:
    make_run(prompts=3)
    assert len(jobs.claim(worker="dead")) == 3
    assert jobs.claim(worker="w") == []
    let_leases_run_out()
    assert [len(jobs.claim(worker="w")) for _ in range(4)] == [1, 1, 1, 0]
    assert rows() == [("running", 2, "w")] * 3


def test_a_job_that_kills_its_workers_fails_after_three_attempts_with_a_reason() -> None:
    make_run(prompts=1)
    for attempt in range(1, 4):
        [job] = jobs.claim(worker=f"victim {attempt}")
        let_leases_run_out()
    assert jobs.claim(worker="w") == []
    assert jobs.requeue_abandoned() == 1
    job.refresh_from_db()
    assert (job.state, job.attempts, job.lease_until) == ("failed", 3, None)
    assert job.reason == (
        "The worker victim 3 stopped answering while it made this image (attempt 3)."
        " It is not tried again: look for lack of memory in its log."
    )
    assert job.finished_at is not None


def test_abandoned_jobs_are_requeued_and_living_ones_left_alone() -> None:
    make_run(prompts=2)
    abandoned, living = jobs.claim(worker="w")
    ImageJob.objects.filter(pk=abandoned.pk).update(worker="dead", lease_until=Now() - timedelta(seconds=1))
    assert jobs.requeue_abandoned() == 1
    assert list(ImageJob.objects.order_by("pk").values_list("state", "reason")) == [
        ("pending", "The worker dead stopped answering while it made this image (attempt 1)."),
        ("running", ""),
    ]
    assert jobs.renew(worker="w", job_ids=[living.pk]) == 1


def test_a_heartbeat_lengthens_only_leases_that_are_still_held() -> None:
    make_run(prompts=2)
    mine, lost = jobs.claim(worker="w")
    let_leases_run_out()
    [taken] = jobs.claim(worker="thief")
    kept, gone = (lost, mine) if taken.pk == mine.pk else (mine, lost)
    assert jobs.renew(worker="w", job_ids=[mine.pk, lost.pk]) == 1
    assert not ImageJob.objects.due().filter(pk=kept.pk).exists()
    gone.refresh_from_db()
    assert gone.worker == "thief"


def test_finishing_stores_image_and_job_together() -> None:
    make_run(prompts=2)
    batch = jobs.claim(worker="w")
    assert jobs.finish([image_for(job) for job in batch]) == 2
    assert rows() == [("done", 1, "w")] * 2
    assert [image.job_id for image in Image.objects.all()] == [job.pk for job in batch]
    assert all(job.finished_at and not job.lease_until for job in ImageJob.objects.all())


def test_a_job_made_twice_leaves_one_image() -> None:
    make_run(prompts=1)
    [slow] = jobs.claim(worker="slow")
    let_leases_run_out()
    [quick] = jobs.claim(worker="quick")
    assert jobs.finish([image_for(quick, seconds=1.0)]) == 1
    assert jobs.finish([image_for(slow, seconds=9.0)]) == 0
    assert [image.seconds for image in Image.objects.all()] == [1.0]
    assert rows() == [("done", 2, "quick")]


def test_a_retryable_failure_is_tried_three_times_and_then_kept_with_its_reason() -> None:
    make_run(prompts=1)
    for _ in range(3):
        jobs.fail(jobs.claim(worker="w"), worker="w", reason="the disk is full", is_retryable=True)
    assert jobs.claim(worker="w") == []
    job = ImageJob.objects.get()
    assert (job.state, job.attempts, job.reason) == ("failed", 3, "the disk is full")


def test_a_hopeless_failure_is_not_tried_again() -> None:
    make_run(prompts=2)
    jobs.fail(jobs.claim(worker="w"), worker="w", reason="no such\0 scheduler", is_retryable=False)
    assert rows() == [("failed", 1, "w")] * 2
    assert set(ImageJob.objects.values_list("reason", flat=True)) == {"no such scheduler"}


def test_failing_touches_no_job_that_another_worker_took_over() -> None:
    make_run(prompts=1)
    lost = jobs.claim(worker="slow")
    let_leases_run_out()
    jobs.claim(worker="quick")
    jobs.fail(lost, worker="slow", reason="too late", is_retryable=False)
    assert jobs.release(lost, worker="slow") == 0
    assert rows() == [("running", 2, "quick")]


def test_released_jobs_cost_no_attempt() -> None:
    make_run(prompts=2)
    assert jobs.release(jobs.claim(worker="w"), worker="w") == 2
    assert rows() == [("pending", 0, "")] * 2
    assert len(jobs.claim(worker="w")) == 2


def test_claiming_locks_rows_where_the_database_can() -> None:
    make_run(prompts=2)
    with CaptureQueriesContext(connection) as queries:
        jobs.claim(worker="w")
    locked = [query["sql"] for query in queries if "FOR UPDATE" in query["sql"]]
    assert len(locked) == (1 if connection.vendor == "postgresql" else 0)
    assert all("SKIP LOCKED" in sql for sql in locked)


def test_a_lease_from_before_the_clock_was_set_back_is_cut_to_a_common_one() -> None:
    make_run(prompts=1)
    jobs.claim(worker="w")
    ImageJob.objects.update(lease_until=F("lease_until") + timedelta(hours=2))
    assert jobs.requeue_abandoned() == 0
    end = ExpressionWrapper(Now() + jobs.LEASE, output_field=DateTimeField())
    assert ImageJob.objects.get(lease_until__lte=end).state == "running"

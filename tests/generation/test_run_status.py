"""How a run stands: counts, pace, failures by reason, workers, and what nobody can do."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now
from pytest_django import DjangoAssertNumQueries

from generation import jobs
from generation.heartbeats import beat_heart
from generation.models import ImageJob, Recipe, Run, WorkerHeartbeat
from generation.planning import cancel_run, pause_run
from generation.run_status import Failure, status_of
from tests.generation.rows import image_for, make_recipe, make_run

pytestmark = pytest.mark.django_db
State = ImageJob.State


def fail(run: Run, *places: int, reason: str) -> None:
    chosen = list(run.jobs.order_by("pk").values_list("pk", flat=True))
    ImageJob.objects.filter(pk__in=[chosen[place] for place in places]).update(state=State.FAILED, reason=reason)


def test_a_run_is_counted_and_its_pace_measured() -> None:
    run = make_run(prompts=6)
    Run.objects.filter(pk=run.pk).update(created_at=Now() - timedelta(seconds=100))
    run.refresh_from_db()
    jobs.finish([image_for(job) for job in jobs.claim(worker="a", most=2)])
    ImageJob.objects.filter(state=State.DONE).filter(pk=run.jobs.order_by("pk")[0].pk).update(
        finished_at=Now() - timedelta(minutes=6)
    )
    jobs.claim(worker="a", most=1)
    fail(run, 5, reason="no memory")
    status = status_of(run)
    assert (status.total, status.done, status.running, status.waiting, status.failed) == (6, 2, 1, 2, 1)
    assert status.images_a_second == pytest.approx(1 / 100, rel=0.1)
    assert (status.state, status.is_moving, status.seconds_left) == ("running", True, 1.5)


def test_states_in_one_word() -> None:
    run = make_run(prompts=1)
    pause_run(run)
    run.refresh_from_db()
    assert status_of(run).state == "paused"
    jobs.finish([image_for(job) for job in run.jobs.all()])
    assert (status_of(run).state, status_of(run).is_moving, status_of(run).seconds_left) == ("finished", False, 0.0)


def test_what_another_run_waits_for_counts_as_cancelled_in_a_cancelled_run() -> None:
    run = make_run(prompts=2)
    make_run(prompts=1, name="other")
    cancel_run(run)
    run.refresh_from_db()
    status = status_of(run)
    assert (status.state, status.cancelled, status.left, status.obstacles) == ("cancelled", 2, 0, ())


def test_failures_are_grouped_by_reason_the_most_frequent_first() -> None:
    run = make_run(prompts=4)
    fail(run, 0, reason="black picture")
    fail(run, 1, 3, reason="no memory")
    first, second, *_ = run.jobs.order_by("pk").values_list("pk", flat=True)
    assert status_of(run).failures == (Failure("no memory", 2, second), Failure("black picture", 1, first))
    assert status_of(run).unlisted_failures == 0


def test_of_many_reasons_the_rest_is_counted() -> None:
    run = make_run(prompts=25)
    for place in range(25):
        fail(run, place, reason=f"reason {place}")
    assert (len(status_of(run).failures), status_of(run).unlisted_failures) == (20, 5)


def test_living_image_workers_say_what_they_do() -> None:
    run = make_run(prompts=3)
    beat_heart(worker="drawing", queues=["gen.cpu"], weights=["tiny"], loaded=["tiny"], device="cpu: EPYC")
    beat_heart(worker="idle", queues=["gen.cpu"])
    beat_heart(worker="fits", queues=["default"])
    beat_heart(worker="silent", queues=["gen.cpu"])
    WorkerHeartbeat.objects.filter(worker="silent").update(seen_at=Now() - timedelta(minutes=1))
    WorkerHeartbeat.objects.filter(worker="idle").update(seen_at=Now() - timedelta(seconds=20))
    jobs.claim(worker="drawing", most=2)
    drawing, idle = status_of(run).workers
    assert (drawing.worker, drawing.recipe, drawing.images) == ("drawing", "tiny, 4 steps", 2)
    assert (drawing.loaded, drawing.device) == (("tiny",), "cpu: EPYC")
    assert (idle.worker, idle.is_drawing) == ("idle", False)
    assert idle.seconds_since_seen == pytest.approx(20, abs=5)


def test_that_no_worker_lives_is_said() -> None:
    run = make_run(prompts=1)
    [sentence] = status_of(run).obstacles
    assert sentence.startswith("No living worker takes messages from the queue gen.cpu")
    beat_heart(worker="fits", queues=["default"])
    assert status_of(run).obstacles == (sentence,)
    pause_run(run)
    run.refresh_from_db()
    assert status_of(run).obstacles == ()


def test_weights_that_no_living_worker_holds_are_named() -> None:
    run = make_run(prompts=2, recipes=[make_recipe(checkpoint=name) for name in ("early", "final")])
    beat_heart(worker="a", queues=["gen.cpu"], weights=["early"])
    [sentence] = status_of(run).obstacles
    assert sentence.startswith("2 images wait in vain. No living worker holds the weights of final")
    beat_heart(worker="b", queues=["gen.cpu"], weights=["final"])
    assert status_of(run).obstacles == ()
    # One that works on a terminal names no weights.
    WorkerHeartbeat.objects.all().delete()
    beat_heart(worker="terminal", queues=[])
    assert status_of(run).obstacles == ()


def test_recipes_that_wait_for_a_check_are_counted() -> None:
    run = make_run(prompts=1, recipes=[make_recipe(state=Recipe.State.CHECKING)])
    beat_heart(worker="a", queues=["gen.cpu"], weights=["tiny"])
    assert status_of(run).obstacles == ("1 image waits until a worker has checked the recipe or its checkpoint.",)


@pytest.mark.parametrize("size", [2, 12])
def test_a_status_takes_the_same_queries_for_any_size(
    size: int, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    run = make_run(prompts=size, recipes=[make_recipe(steps=steps) for steps in range(1, size)])
    for number in range(size):
        beat_heart(worker=f"worker {number}", queues=["gen.cpu"])
    fail(run, 0, reason="no memory")
    with django_assert_max_num_queries(12):
        status_of(run)

"""A batch in work is stopped by cancelling and by nothing else."""

import pytest
from pytest_django import DjangoAssertNumQueries

from generation import jobs
from generation.cancelling import Cancelled, CancelWatch, give_up, still_wanted
from generation.models import ImageJob
from generation.planning import cancel_run, pause_run
from generation.tasks import reconcile
from tests.generation.rows import make_run

pytestmark = pytest.mark.django_db


class Clock:
    """Time that the test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_pause_lets_the_batch_finish_and_cancelling_does_not() -> None:
    run = make_run(prompts=2)
    batch = [job.pk for job in jobs.claim(worker="a")]
    assert still_wanted(batch)
    pause_run(run)
    assert still_wanted(batch)
    cancel_run(run)
    assert not still_wanted(batch)


def test_one_image_that_another_run_wants_keeps_the_batch_going() -> None:
    run = make_run(prompts=2)
    other = make_run(prompts=1, name="other")
    batch = [job.pk for job in jobs.claim(worker="a")]
    cancel_run(run)
    assert still_wanted(batch)
    cancel_run(other)
    assert not still_wanted(batch)


def test_the_watch_asks_the_database_at_most_every_two_seconds(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    run = make_run(prompts=2)
    clock = Clock()
    watch = CancelWatch([job.pk for job in jobs.claim(worker="a")], clock=clock)
    cancel_run(run)
    with django_assert_num_queries(0):
        for clock.now in (0.1, 1.0, 1.9):
            watch()
    clock.now = 2.1
    with django_assert_num_queries(1), pytest.raises(Cancelled):
        watch()


def test_a_stopped_batch_is_cancelled_but_for_what_was_asked_anew() -> None:
    run = make_run(prompts=2)
    batch = [job.pk for job in jobs.claim(worker="a")]
    cancel_run(run)
    again = make_run(prompts=1, name="again")
    assert give_up(worker="b", job_ids=batch) == 0
    assert give_up(worker="a", job_ids=batch) == 1
    states = list(ImageJob.objects.order_by("pk").values_list("state", "attempts", "reason"))
    assert states == [("pending", 0, ""), ("cancelled", 1, "")]
    assert [job.pk for job in jobs.claim(worker="b", run=again)] == batch[:1]


def test_jobs_that_come_back_after_their_run_was_cancelled_are_closed() -> None:
    run = make_run(prompts=3)
    batch = jobs.claim(worker="a")
    assert cancel_run(run) == 0
    jobs.fail(batch[:1], worker="a", reason="no network", is_retryable=True)
    jobs.release(batch[1:], worker="a")
    again = make_run(prompts=1, name="again")
    reconcile()
    states = list(ImageJob.objects.order_by("pk").values_list("state", flat=True))
    assert states == ["pending", "cancelled", "cancelled"]
    assert again.jobs.unfinished().exists()
    cancel_run(again)
    assert jobs.cancel_unwanted() == 0 and not run.jobs.unfinished().exists()

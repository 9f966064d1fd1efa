"""Redis that is lost, restarted, hung or emptied: the database is the truth, so nobody has to click."""

import time
from collections.abc import Callable

import pytest
from celery import current_app
from kombu.exceptions import OperationalError

from arena.models import Vote
from generation.models import ImageJob, WorkerHeartbeat
from tests.arena import factories
from tests.faults.conftest import Want
from tests.faults.crew import Crew, assert_each_image_once, done, wait_for, wait_until_all_are_made
from tests.faults.scale import SCALE

Measured = Callable[[str], None]
pytestmark = pytest.mark.once


def test_f04_a_redis_that_lost_everything_costs_no_image_and_no_click(
    crew: Crew, want: Want, measured: Measured
) -> None:
    crew.arm("slow", "0.1")
    want(SCALE.images)
    wait_for(lambda: done() >= 1, seconds=60, what="the first batch is made")
    crew.lose_redis()
    time.sleep(SCALE.seconds_down)  # the fault itself
    crew.redis.start()
    crew.disarm("slow")
    seconds = wait_until_all_are_made(seconds=180)
    assert_each_image_once(SCALE.images)
    measured(f"{SCALE.images} images made {seconds:.0f} s after Redis was back from {SCALE.seconds_down:g} s, empty")


def test_f05_a_busy_worker_hears_again_after_each_restart_of_redis(crew: Crew, want: Want, measured: Measured) -> None:
    crew.arm("slow", "0.25")
    longest = 0.0
    for restart in range(1, SCALE.redis_restarts + 1):
        want(8 * restart)
        wait_for(ImageJob.objects.filter(state="running").exists, seconds=60, what="the worker is busy")
        crew.redis.kill()
        crew.redis.start()
        WorkerHeartbeat.objects.all().delete()
        # Rows come back only when a worker takes a heartbeat from its queue: a zombie never does.
        heard = WorkerHeartbeat.objects.filter(queues=["gen.cpu"])
        longest = max(longest, wait_for(heard.exists, seconds=60, what="the worker takes messages again"))
    crew.disarm("slow")
    wait_until_all_are_made(seconds=180)
    assert_each_image_once(8 * SCALE.redis_restarts)
    measured(f"heard again after {longest:.1f} s at most in {SCALE.redis_restarts} restarts")


def test_f06_a_hung_redis_delays_no_vote_and_a_started_run_waits_for_it(
    crew: Crew, want: Want, measured: Measured
) -> None:
    rater = factories.make_rater(factories.make_study())
    want(1)
    wait_until_all_are_made(seconds=60)
    crew.redis.pause()
    try:
        hung_at = time.monotonic()
        factories.cast(rater, ballots=3)
        voted = time.monotonic() - hung_at
        want(SCALE.images)
        answered = time.monotonic() - hung_at - voted
        time.sleep(max(0.0, SCALE.seconds_hung - voted - answered))  # the fault itself
    finally:
        crew.redis.resume()
    seconds = wait_until_all_are_made(seconds=180)
    assert Vote.objects.count() >= 3
    assert done() == SCALE.images
    assert answered < 5
    measured(f"3 ballots voted on in {voted:.2f} s, the run started in {answered:.1f} s, made {seconds:.0f} s after")


def test_f07_an_enqueueing_that_fails_after_the_commit_is_made_good(
    crew: Crew, want: Want, measured: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OperationalError("the broker went away between commit and message")

    with monkeypatch.context() as patch:
        patch.setattr(current_app, "send_task", fails)
        want(2)
    seconds = wait_until_all_are_made(seconds=90)
    assert_each_image_once(2)
    measured(f"no error for the person; made {seconds:.0f} s later")


def test_f08_flushall_in_the_middle_costs_no_image(crew: Crew, want: Want, measured: Measured) -> None:
    crew.arm("slow", "0.1")
    want(SCALE.images)
    wait_for(lambda: done() >= 1, seconds=60, what="the first batch is made")
    with crew.redis.client() as client:
        client.flushall()
    crew.disarm("slow")
    seconds = wait_until_all_are_made(seconds=180)
    assert_each_image_once(SCALE.images)
    measured(f"{SCALE.images} images made, the last {seconds:.0f} s after the FLUSHALL")

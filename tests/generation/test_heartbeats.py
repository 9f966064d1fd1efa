"""Who is alive, by the database's clock."""

import logging
import threading
import time
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from generation import heartbeats, jobs
from generation.models import ImageJob, WorkerHeartbeat
from tests.generation.rows import make_run


@pytest.mark.django_db
def test_a_beat_makes_or_refreshes_one_row() -> None:
    heartbeats.beat_heart(worker="w", queues=["gen.cpu"])
    WorkerHeartbeat.objects.update(seen_at=Now() - timedelta(minutes=5))
    assert heartbeats.served_queues() == set()
    heartbeats.beat_heart(
        worker="w", queues=["gen.cpu", "default"], weights=["b", "a"], loaded=["a"], device="cpu: fast"
    )
    row = heartbeats.living_workers().get()
    assert (row.queues, row.weights, row.loaded, row.device) == (["default", "gen.cpu"], ["a", "b"], ["a"], "cpu: fast")
    assert heartbeats.served_queues() == {"default", "gen.cpu"}


@pytest.mark.django_db
@pytest.mark.parametrize(("age", "is_alive", "is_kept"), [(30, True, True), (60, False, True), (3700, False, False)])
def test_silent_workers_are_dead_after_a_while_and_later_forgotten(age: int, is_alive: bool, is_kept: bool) -> None:
    heartbeats.beat_heart(worker="w", queues=[])
    WorkerHeartbeat.objects.update(seen_at=Now() - timedelta(seconds=age))
    assert heartbeats.living_workers().exists() == is_alive
    assert heartbeats.forget_silent_workers() == (not is_kept)


@pytest.mark.django_db
def test_idle_image_workers_listen_to_the_queue_and_hold_no_job() -> None:
    for name, queue in (("busy", "gen.cpu"), ("idle", "gen.cpu"), ("web", "default"), ("dead", "gen.cpu")):
        heartbeats.beat_heart(worker=name, queues=[queue])
    WorkerHeartbeat.objects.filter(worker="dead").update(seen_at=Now() - timedelta(hours=1))
    make_run(prompts=1)
    jobs.claim(worker="busy")
    assert heartbeats.idle_image_workers() == 1


@pytest.mark.django_db(transaction=True)
def test_a_busy_heart_keeps_row_and_leases_alive_from_its_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeats, "SECONDS_BETWEEN_BEATS", 0.05)
    make_run(prompts=2)
    batch = jobs.claim(worker="w")
    heartbeats.beat_heart(worker="w", queues=["gen.cpu"])
    WorkerHeartbeat.objects.update(seen_at=Now() - timedelta(minutes=5))
    ImageJob.objects.update(lease_until=Now() - timedelta(seconds=1))
    with heartbeats.BusyHeart(worker="w", job_ids=[job.pk for job in batch]).beating():
        end = time.monotonic() + 20
        while ImageJob.objects.due().exists() or not heartbeats.living_workers().exists():
            assert time.monotonic() < end, "the heart did not beat"
            time.sleep(0.02)
    assert "heart" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.django_db(transaction=True)
def test_a_batch_that_makes_no_step_loses_its_lease(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(heartbeats, "SECONDS_BETWEEN_BEATS", 0.02)
    monkeypatch.setattr(heartbeats, "LONGEST_STEP_SECONDS", 0.0)
    make_run(prompts=1)
    [job] = jobs.claim(worker="hung")
    ImageJob.objects.update(lease_until=Now() - timedelta(seconds=1))
    with caplog.at_level(logging.ERROR), heartbeats.BusyHeart(worker="hung", job_ids=[job.pk]).beating():
        end = time.monotonic() + 20
        while "made no step" not in caplog.text:
            assert time.monotonic() < end, "the heart went on"
            time.sleep(0.02)
    assert ImageJob.objects.due().exists()

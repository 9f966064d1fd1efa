"""Who is alive, by the database's clock."""

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
    heartbeats.beat_heart(worker="large", queues=["gen.gpu24"])
    assert heartbeats.idle_image_workers() == {"gen.cpu": 1, "gen.gpu24": 1}


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
    row = WorkerHeartbeat.objects.get()
    assert row.job_ids == [job.pk for job in batch]
    heartbeats.beat_heart(worker="w", queues=["gen.cpu"])
    row.refresh_from_db()
    assert row.job_ids == []
    assert "heart" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("attempts", "state"), [(1, "pending"), (3, "failed")])
def test_a_batch_that_makes_no_step_is_handed_back_and_its_process_ends(attempts: int, state: str) -> None:
    make_run(prompts=1)
    [job] = jobs.claim(worker="hung")
    ImageJob.objects.update(attempts=attempts)
    said: list[str] = []
    ended = threading.Event()

    def end(sentence: str) -> None:
        said.append(sentence)
        ended.set()

    with heartbeats.BusyHeart(worker="hung", job_ids=[job.pk], step_seconds=0.05, end=end).beating():
        assert ended.wait(20)
    assert said == ["timeout: hung made no sampling step for 0.05 s."]
    assert ImageJob.objects.values_list("state", "reason").get() == (state, said[0])


@pytest.mark.django_db(transaction=True)
def test_a_batch_that_makes_steps_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    with heartbeats.BusyHeart(worker="w", job_ids=[], step_seconds=5.0, end=said.append).beating() as heart:
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            heart.progressed()
    assert said == []

"""Real Celery workers on a real Redis: hints wake them, their death costs nothing, and the database stays the truth."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings
from django.db.models import F
from django.db.models.functions import Now
from kombu import Queue

from evalsite.celery import app as celery_app
from generation import heartbeats, jobs, tasks
from generation.checkpoints import register_checkpoint, resolve_checkpoint
from generation.jobs import LEASE
from generation.models import Checkpoint, Image, ImageJob, Recipe, WorkerHeartbeat
from generation.planning import start_run
from generation.recipes import get_recipe
from generation.schedules import few_step_sigmas, get_schedule
from tests.conftest import StartWorker
from tests.generation.rows import make_recipe, make_run
from tests.servers.celery_worker import CeleryWorker
from tests.servers.redis_server import RedisServer


def queued(server: RedisServer, queue: str = "gen.cpu") -> int:
    with server.client() as client:
        return int(client.llen(queue))


def wait_until(holds: Callable[[], bool], *, seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, dict(ImageJob.objects.values_list("state", "reason"))
        time.sleep(0.1)


def wanted_images(count: int, *, steps: int = 2) -> Recipe:
    """A draft checkpoint, an unresolved recipe and a run: everything after that is the workers' business."""
    recipe = get_recipe(
        name="r",
        checkpoint=Checkpoint.objects.first() or register_checkpoint(name="tiny", source="tiny"),
        schedule=get_schedule(steps=steps, shift=1.0, sigmas=few_step_sigmas(steps)),
        guidance=3,
        width=64,
        height=64,
    )
    start_run(name="run", owner=None, recipes=[recipe], prompt_texts=[f"prompt {k}" for k in range(count)])
    return recipe


def test_beat_sends_tasks_that_exist_to_queues_that_are_served() -> None:
    celery_app.loader.import_default_modules()
    for entry in settings.CELERY_BEAT_SCHEDULE.values():
        assert entry["task"] in celery_app.tasks
        assert entry["options"]["queue"] == "default"
        # As many wait for a busy worker as it may take at once when it comes back, and none is gone before the next.
        assert 1 <= entry["options"]["expires"] / entry["schedule"] <= 6


def test_work_is_sent_to_the_image_workers_queue() -> None:
    for task in (tasks.generate_next, tasks.resolve_drafts, tasks.measure_next):
        routed = celery_app.amqp.router.route({}, task.name)["queue"]
        assert (routed.name if isinstance(routed, Queue) else routed) == "gen.cpu"


@pytest.mark.once
@pytest.mark.django_db(transaction=True)
def test_a_worker_that_was_only_told_to_come_makes_images_and_its_death_costs_none(
    broker: RedisServer, start_worker: StartWorker, models_root: Path
) -> None:
    worker = start_worker(WINRATE_MODELS_ROOT=str(models_root))
    wanted_images(11)
    wait_until(lambda: not ImageJob.objects.unfinished().exists())
    assert Checkpoint.objects.get().state == "ready"
    assert Recipe.objects.get().resolved_sigmas == [1.0, 0.5, 0.0]
    assert set(ImageJob.objects.values_list("state", "attempts")) == {("done", 1)}
    assert sorted(image.provenance["made"]["batch_size"] for image in Image.objects.all()) == [3] * 3 + [8] * 8
    assert "gen.cpu" in heartbeats.served_queues()
    # Seeds, sigmas and noise do not depend on the process: this one makes the same bytes.
    expected = list(
        Image.objects.filter(prompt_text__in=LAST_BATCH).order_by("pk").values_list("file_sha256", flat=True)
    )
    assert made_here(LAST_BATCH) == expected
    assert not any("ERROR" in line for line in worker.lines())

    kill_in_the_middle_of_a_batch(worker)
    ImageJob.objects.filter(state="running").update(lease_until=F("lease_until") - LEASE)
    tasks.reconcile()
    wait_until(lambda: not ImageJob.objects.unfinished().exists())
    assert Counter(ImageJob.objects.values_list("state", "attempts")) == {("done", 1): 11, ("done", 2): 8}
    # What may have killed a worker is made alone.
    again = Image.objects.filter(job__attempts=2)
    assert [image.provenance["made"]["batch_size"] for image in again] == [1] * 8


LAST_BATCH = ["prompt 8", "prompt 9", "prompt 10"]


def made_here(prompts: list[str]) -> list[str]:
    from generation.worker import make_images

    batch = list(ImageJob.objects.filter(prompt_text__in=prompts).order_by("pk").select_related("recipe__checkpoint"))
    return [image.file_sha256 for image in make_images(batch, heartbeats.BusyHeart(worker="here", job_ids=[]))]


def kill_in_the_middle_of_a_batch(worker: CeleryWorker) -> None:
    """As the kernel does when memory runs out: the pool's process dies, its supervisor starts another."""
    # So many steps that the batch is surely not done; one step is enough for the worker that follows.
    recipe = wanted_images(8, steps=900)
    wait_until(lambda: ImageJob.objects.filter(state="running").exists())
    victim = ImageJob.objects.filter(state="running").values_list("worker", flat=True)[0]
    os.kill(int(victim.rpartition(":")[2]), signal.SIGKILL)
    wait_until(lambda: any("WorkerLostError" in line for line in worker.lines()))
    assert not Image.objects.filter(recipe=recipe).exists()
    quick = get_schedule(steps=1, shift=1.0, sigmas=few_step_sigmas(1))
    Recipe.objects.filter(pk=recipe.pk).update(schedule=quick, resolved_sigmas=[1.0, 0.0], resolved_timesteps=[1000.0])


@pytest.mark.django_db(transaction=True)
def test_lost_messages_are_sent_again(broker: RedisServer) -> None:
    make_run(prompts=1)
    with broker.client() as client:
        client.flushall()
    tasks.reconcile()
    assert queued(broker) == 1


@pytest.mark.django_db(transaction=True)
def test_every_idle_worker_is_woken_for_due_jobs(broker: RedisServer) -> None:
    for name in ("a", "b", "c"):
        heartbeats.beat_heart(worker=name, queues=["gen.cpu"])
    make_run(prompts=9)
    jobs.claim(worker="a")
    with broker.client() as client:
        client.flushall()
    tasks.reconcile()
    assert queued(broker) == 2


@pytest.mark.django_db(transaction=True)
def test_nothing_is_sent_when_nothing_is_due(broker: RedisServer) -> None:
    WorkerHeartbeat.objects.create(worker="old", host="h", seen_at=Now() - 100 * LEASE)
    tasks.reconcile()
    assert queued(broker) == 0
    assert not WorkerHeartbeat.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_drafts_are_sent_to_the_workers(broker: RedisServer, models_root: Path) -> None:
    checkpoint = register_checkpoint(name="tiny", source="tiny")
    with broker.client() as client:
        client.flushall()
    tasks.reconcile()
    assert queued(broker) == 1
    resolve_checkpoint(checkpoint)
    make_recipe(state=Recipe.State.CHECKING)
    with broker.client() as client:
        client.flushall()
    tasks.reconcile()
    assert queued(broker) == 1


@pytest.mark.django_db
def test_a_heartbeat_says_which_queue_was_heard() -> None:
    tasks.heartbeat("default")
    row = WorkerHeartbeat.objects.get()
    assert (row.worker, row.queues) == (heartbeats.this_worker(), ["default"])

"""How the site works, on a page: what needs looking at stands first; a look costs the same however much there is."""

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from arena.operation import operation
from generation import jobs
from generation.heartbeats import beat_heart
from generation.models import ImageJob, Run, TaskRecord, WorkerHeartbeat
from tests.arena.factories import cast, make_rater, make_study, make_user
from tests.conftest import as_broker
from tests.generation.rows import make_checkpoint, make_recipe, make_run
from tests.servers.redis_server import RedisServer

pytestmark = pytest.mark.django_db


@pytest.fixture
def administrator() -> Client:
    client = Client()
    client.force_login(make_user("root", is_superuser=True))
    return client


def show(client: Client) -> str:
    return client.get(reverse("arena:operation")).content.decode()


def well_served() -> None:
    beat_heart(worker="web:1", queues=["default"])
    beat_heart(worker="gpu:2", queues=["gen.gpu24"], weights=["tiny"], device="H100")


def test_where_all_is_well_it_says_so(administrator: Client) -> None:
    well_served()
    page = show(administrator)
    assert "Nothing needs looking at" in page and "notice danger" not in page
    assert all(word in page for word in ("web:1", "gpu:2", "H100", "gen.gpu24", "No image waits to be made."))


def test_what_is_wrong_stands_first_in_sentences(administrator: Client, mortal_redis: RedisServer) -> None:
    make_checkpoint("tiny")
    run = make_run(prompts=3, recipes=[make_recipe()], name="sixteen steps")
    claimed = jobs.claim(worker="gpu:2", most=2)
    jobs.fail(claimed[:1], worker="gpu:2", reason="Out of memory: 3 pictures", is_retryable=False)
    ImageJob.objects.filter(pk=claimed[1].pk).update(lease_until=Now() - timedelta(seconds=100))
    beat_heart(worker="gpu:2", queues=["gen.cpu"])
    WorkerHeartbeat.objects.update(seen_at=Now() - timedelta(minutes=2))
    TaskRecord.objects.create(name="arena.tasks.refit_changed", failed_at=timezone.now(), failures=3, error="it burst")
    make_run(prompts=1, recipes=[make_recipe(steps=8)], name="paused one")
    Run.objects.exclude(pk=run.pk).update(paused_at=timezone.now(), pause_reason="The disk is full.")
    mortal_redis.kill()
    with as_broker(mortal_redis.url):
        found = operation()
        page = show(administrator)
    assert found.attention == (
        "The broker does not answer. Votes are kept; images and fits wait for it.",
        "No living worker serves the queue default: votes are kept, but nothing is fitted, no ballot is taken back, "
        "and no lost image is made again.",
        "The lease of gpu:2 on 1 image ended 2 min ago and is not renewed.",
        "No image worker is alive; start one.",
        "The task arena.tasks.refit_changed failed when it ran last: it burst",
        "paused one stands still: The disk is full.",
    )
    assert page.count("notice danger") == len(found.attention)
    assert reverse("arena:run", args=[run.pk]) in page and "Out of memory: 3 pictures" in page
    assert "silent for 2 min" in page or "silent for 120 s" in page


def test_reasons_that_differ_in_numbers_alone_are_one_line(administrator: Client) -> None:
    make_run(prompts=3)
    for number, job in enumerate(jobs.claim(worker="gpu:2", most=3)):
        jobs.fail([job], worker="gpu:2", reason=f"The worker gpu:{number} stopped", is_retryable=False)
    (line,) = operation().failures
    assert (line.count, line.reason.startswith("The worker gpu:")) == (3, True)


@pytest.mark.parametrize("much", [1, 4])
def test_looking_costs_the_same_however_much_there_is(much: int, django_assert_num_queries: Any) -> None:
    well_served()
    study = make_study(contenders=2, prompts=much)
    cast(make_rater(study), ballots=much)
    for number in range(much):
        make_run(prompts=2 * much, name=f"run {number}")
        TaskRecord.objects.create(name=f"task {number}", succeeded_at=timezone.now())
    operation()  # sums are kept from here on
    with django_assert_num_queries(23):
        operation()


def test_to_htmx_only_the_moving_part_is_sent(administrator: Client) -> None:
    part = administrator.get(reverse("arena:operation"), headers={"HX-Request": "true"})
    assert part.content.decode().lstrip().startswith('<div id="operation"')
    assert "HX-Request" in part.headers["Vary"] and "no-store" in part.headers["Cache-Control"]

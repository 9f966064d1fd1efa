"""The page on how the site works in a real Chromium: on a desk, on a phone, at night, and following by itself."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect

from generation import jobs
from generation.heartbeats import beat_heart
from generation.models import TaskRecord, WorkerHeartbeat
from tests.arena.factories import cast, make_rater, make_study, make_user
from tests.browser.conftest import PHONE, OpenWindow
from tests.generation.rows import make_run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]


@pytest.fixture
def administrator() -> Client:
    """A site with work, a worker that is well, one that fell silent, failures and a failing task."""
    study = make_study(contenders=3, prompts=4)
    cast(make_rater(study), ballots=4)
    make_run(prompts=9, name="sixteen steps")
    beat_heart(worker="web-1:311", queues=["default"])
    beat_heart(worker="gpu-1:4711", queues=["gen.gpu24"], weights=["tiny"], device="NVIDIA H100 80GB HBM3")
    beat_heart(worker="gpu-2:815", queues=["gen.gpu24"], device="NVIDIA H100 80GB HBM3")
    WorkerHeartbeat.objects.filter(worker="gpu-1:4711").update(
        memory_used=31_000_000_000,
        memory_peak=52_000_000_000,
        memory_total=85_000_000_000,
        images_made=12_345,
        out_of_memory=3,
    )
    WorkerHeartbeat.objects.filter(worker="gpu-2:815").update(seen_at=timezone.now() - timedelta(minutes=7))
    claimed = jobs.claim(worker="gpu-1:4711", most=4)
    reason = "Out of memory: not even one picture of 1536 x 1536 pixels fits on NVIDIA H100 80GB HBM3, tried twice."
    jobs.fail(claimed[:2], worker="gpu-1:4711", reason=reason, is_retryable=False)
    TaskRecord.objects.create(name="arena.tasks.refit_changed", succeeded_at=timezone.now(), seconds=0.4)
    TaskRecord.objects.create(
        name="arena.tasks.judge_changed", failed_at=timezone.now(), failures=3, error="ValueError: no votes"
    )
    client = Client()
    client.force_login(make_user("root", is_superuser=True))
    return client


def workers_scroll(page: Page) -> bool:
    """Whether the table of workers is wider than its place."""
    place = page.locator(".table-scroll:has(.workers)")
    return bool(place.evaluate("element => element.scrollWidth > element.clientWidth"))


def enter(page: Page, administrator: Client) -> None:
    page.goto(reverse("arena:login"))
    site = page.evaluate("location.origin")
    session = administrator.cookies["sessionid"].value
    page.context.add_cookies([{"name": "sessionid", "value": session, "url": f"{site}/"}])
    page.goto(reverse("arena:operation"))
    expect(page.get_by_role("heading", name="Needs looking at")).to_be_visible()


def test_the_page_follows_by_itself(administrator: Client, open_window: OpenWindow, pictures: Path) -> None:
    page = open_window(viewport={"width": 1280, "height": 1500})
    enter(page, administrator)
    assert not workers_scroll(page)
    page.screenshot(path=pictures / "operation.png", full_page=True)
    TaskRecord.objects.create(name="arena.tasks.newcomer", succeeded_at=timezone.now(), seconds=0.1)
    page.evaluate("htmx.ajax('GET', location.pathname, {target: '#operation', swap: 'outerHTML'})")
    expect(page.get_by_role("rowheader", name="arena.tasks.newcomer")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_scrolls_sideways(
    administrator: Client, open_window: OpenWindow, pictures: Path, scheme: str
) -> None:
    page = open_window(**PHONE, color_scheme=scheme)
    enter(page, administrator)
    page.screenshot(path=pictures / f"operation-phone-{scheme}.png", full_page=True)
    assert not page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    assert not workers_scroll(page)

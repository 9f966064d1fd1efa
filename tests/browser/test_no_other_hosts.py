"""No page sends a request to another host: `open_window` watches every request of every page opened here."""

from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse
from playwright.sync_api import expect

from arena import fitting, studies
from arena.models import Study
from generation.models import Image
from tests.arena.factories import cast, make_rater, make_study
from tests.browser.conftest import PHONE, OpenWindow
from tests.browser.vote_window import join, wait_until_ready

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]

STUDY_PAGES = ("study", "study_images", "study_grid")
SITE_PAGES = ("home", "runs", "new_import")
ADMIN_PAGES = ("admin:index", "admin:arena_study_changelist", "admin:arena_rater_changelist")


@pytest.fixture
def study() -> Study:
    """A study with a run and a fit."""
    owner = get_user_model().objects.create_superuser("ada", password="correct horse battery")  # noqa: S106
    study = make_study(contenders=3, prompts=2, owner=owner)
    studies.ask_for_images(study)
    cast(make_rater(study), ballots=3)
    fitting.refit(study)
    return Study.objects.get(pk=study.pk)


def test_a_raters_pages_ask_nobody_else(study: Study, open_window: OpenWindow, pictures: Path) -> None:
    page = open_window(**PHONE)
    join(page, study)
    wait_until_ready(page)
    page.goto(reverse("arena:done", args=[study.slug]))
    page.get_by_role("link", name="Your data").click()
    expect(page.get_by_role("heading", name="Your data")).to_be_visible()
    page.screenshot(path=pictures / "my-data.png", full_page=True)
    page.get_by_role("button", name="Erase my data").click()
    expect(page.get_by_role("heading", name="Erase your data?")).to_be_visible()
    page.screenshot(path=pictures / "my-data-sure.png", full_page=True)
    page.get_by_role("button", name="Yes, erase my data").click()
    expect(page.get_by_role("heading", name="Your data is erased")).to_be_visible()
    page.goto(reverse("arena:vote", args=[study.slug]))
    expect(page.get_by_role("heading", name="Your invitation link is needed")).to_be_visible()


def test_a_researchers_pages_ask_nobody_else(study: Study, open_window: OpenWindow) -> None:
    page = open_window()
    page.goto(reverse("arena:login"))
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill("correct horse battery")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Studies")).to_be_visible()
    image = Image.objects.latest("pk")
    assert study.run is not None
    addresses = [reverse(f"arena:{name}", args=[study.slug]) for name in STUDY_PAGES]
    addresses += [reverse(f"arena:{name}") for name in SITE_PAGES] + [reverse(name) for name in ADMIN_PAGES]
    addresses += [reverse("arena:run", args=[study.run.pk]), reverse("arena:run_grid", args=[study.run.pk])]
    addresses += [reverse("arena:image", args=[image.pk])]
    for address in addresses:
        reply = page.goto(address)
        assert reply is not None and reply.status == 200, address

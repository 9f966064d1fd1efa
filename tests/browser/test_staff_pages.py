"""Sign-in, studies, results and admin in a real Chromium: under the content security policy, and on a phone."""

from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse
from playwright.sync_api import Page, expect

from arena import fitting
from arena.models import Study
from tests.arena.factories import cast, make_rater, make_study, vote_for
from tests.browser.conftest import PHONE, OpenWindow
from tests.browser.results_window import draw_charts

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]


@pytest.fixture
def study() -> Study:
    """A small study with votes, fitted; its owner signs in as ada."""
    owner = get_user_model().objects.create_superuser("ada", password="correct horse battery")  # noqa: S106
    study = make_study(contenders=3, prompts=4, owner=owner)
    for _ in range(4):
        cast(make_rater(study), vote_for(lambda left, right: left.position > right.position), ballots=6)
    fitting.refit(study)
    return study


def sign_in(page: Page) -> None:
    page.goto(reverse("arena:login"))
    expect(page.get_by_label("Name")).to_be_focused()
    page.keyboard.type("ada")
    page.keyboard.press("Tab")
    page.keyboard.type("correct horse battery")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Studies")).to_be_visible()


def has_sideways_scroll(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


def test_from_sign_in_to_results_by_keyboard(study: Study, open_window: OpenWindow, pictures: Path) -> None:
    page = open_window(viewport={"width": 1440, "height": 1200})
    sign_in(page)
    page.screenshot(path=pictures / "home.png")
    page.get_by_role("link", name="Open results").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=study.name)).to_be_visible()
    draw_charts(page)
    page.screenshot(path=pictures / "study.png")


def test_the_admin_works_under_the_content_security_policy(
    study: Study, open_window: OpenWindow, pictures: Path
) -> None:
    page = open_window()
    sign_in(page)
    page.goto(reverse("admin:arena_study_change", args=[study.pk]))
    expect(page.locator("#content h1")).to_be_visible()
    page.screenshot(path=pictures / "admin.png")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_scrolls_sideways(study: Study, open_window: OpenWindow, scheme: str) -> None:
    page = open_window(**PHONE, color_scheme=scheme)
    page.goto("/")
    assert not has_sideways_scroll(page)
    sign_in(page)
    assert not has_sideways_scroll(page)
    page.goto(reverse("arena:study", args=[study.slug]))
    assert not has_sideways_scroll(page)


def test_signing_out_leads_to_the_public_page(study: Study, open_window: OpenWindow) -> None:
    page = open_window()
    sign_in(page)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("link", name="Sign in as a researcher")).to_be_visible()
    page.goto(reverse("arena:study", args=[study.slug]))
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()

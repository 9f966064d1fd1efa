"""A standing leaderboard in a real Chromium: made from ticked studies, read, published, read by anybody on a phone."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect

from arena import board_fitting
from arena.models import Board, Study
from tests.arena.board_cases import add_votes, linked_study
from tests.arena.factories import make_user
from tests.browser.conftest import PHONE, OpenWindow
from tests.browser.signing_in import sign_in
from tests.browser.test_accessibility import violations
from tests.browser.test_staff_pages import has_sideways_scroll

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]

WEEKS = 4


def draw_charts(page: Page, number: int) -> None:
    charts = page.locator("figure img")
    expect(charts).to_have_count(number)
    for place in range(number):
        charts.nth(place).scroll_into_view_if_needed()
        expect(charts.nth(place)).not_to_have_js_property("naturalWidth", 0)
    page.evaluate("scrollTo(0, 0)")


def four_weeks(board: Board) -> None:
    """A fit a week: the first study has more votes each time, in the third week the other joins with new contenders."""
    first, second = Study.objects.get(slug="first"), Study.objects.get(slug="second")
    board.studies.remove(second)
    for week in range(WEEKS):
        if week == 2:
            board.studies.add(second)
        if week:
            add_votes(first, "abcde", votes=25, seed=week)
        (fit,) = board_fitting.refit_board(Board.objects.get(pk=board.pk))
        board.fits.filter(pk=fit.pk).update(created_at=timezone.now() - timedelta(weeks=WEEKS - 1 - week))


def test_from_studies_to_a_public_board(open_window: OpenWindow, pictures: Path) -> None:
    make_user("ada", is_superuser=True)
    linked_study("first", "abcde", votes=25)
    linked_study("second", "cdefgh", votes=40, seed=3)
    linked_study("apart", "ab", votes=0).criteria.update(question="Which one?")
    page = open_window(viewport={"width": 1440, "height": 1300})
    sign_in(page)
    page.goto("/")
    page.get_by_role("link", name="Boards").click()
    page.get_by_role("link", name="New board").click()
    page.get_by_label("Name", exact=True).fill("Weekly checkpoints")
    page.get_by_label("Prompt following:").check()
    page.get_by_label("First").check()
    page.get_by_label("Second").check()
    page.get_by_role("button", name="Look what can join").click()
    expect(page.get_by_text("in other words")).to_be_visible()
    assert violations(page, "form") == []
    page.screenshot(path=pictures / "board-form.png")
    page.get_by_role("button", name="Make the board").click()
    expect(page.get_by_role("heading", name="Weekly checkpoints")).to_be_visible()
    board = Board.objects.get()
    four_weeks(board)
    page.reload()
    draw_charts(page, 2)
    assert violations(page, "board") == []
    places = page.locator(".chart-and-table .table-scroll").all()
    for width in (1280, 1440):
        page.set_viewport_size({"width": width, "height": 1300})
        assert not any(place.evaluate("place => place.scrollWidth > place.clientWidth") for place in places)
        page.screenshot(path=pictures / ("board.png" if width == 1440 else "board-narrow.png"), full_page=True)
    page.get_by_role("button", name="Publish").click()
    expect(page.get_by_text("Anybody can read this board now.")).to_be_visible()

    phone = open_window(**PHONE, color_scheme="dark")
    phone.goto(reverse("arena:public_board", args=[board.slug]))
    expect(phone.get_by_role("heading", name="Weekly checkpoints")).to_be_visible()
    draw_charts(phone, 2)
    assert not has_sideways_scroll(phone) and violations(phone, "public board") == []
    phone.screenshot(path=pictures / "board-phone.png", full_page=True)

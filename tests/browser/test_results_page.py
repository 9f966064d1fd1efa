"""The results page in a real Chromium: it follows the votes, keeps what one has folded open, and draws its charts."""

from pathlib import Path

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from arena import fitting
from arena.models import Rater, Study
from tests.arena.bulk_votes import bulk_votes
from tests.arena.factories import make_study
from tests.browser.conftest import PHONE, OpenWindow
from tests.browser.results_window import draw_charts
from tests.browser.signing_in import sign_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]

STRENGTHS = [0, 0.4, 0.8, 1.0, 1.1, 1.1, 0.2, 0.5]


@pytest.fixture
def study() -> Study:
    study = make_study(contenders=8, prompts=12, with_text=4, images=False, copies=False)
    for number, criterion in enumerate(study.criteria.all()):
        bulk_votes(study, criterion=criterion, raters=5, strengths=STRENGTHS, seed=number)
    fitting.refit(study)
    return study


def test_new_votes_move_the_numbers_and_what_was_open_stays_open(study: Study, open_window: OpenWindow) -> None:
    page = open_window()
    sign_in(page)
    page.clock.install()
    page.goto(reverse("arena:study", args=[study.slug]))
    caption = page.locator("#prompt-following caption").first
    expect(caption).to_contain_text("150 votes")
    fold = page.locator("#aesthetics-matrix")
    fold.locator("summary").click()
    expect(fold).to_have_attribute("open", "")

    bulk_votes(study, raters=3, ballots_per_rater=10, strengths=STRENGTHS, seed=8)
    fitting.refit(study)  # what a worker would put off for a while where fits are slow
    page.clock.fast_forward(11_000)

    expect(caption).to_contain_text("180 votes")
    expect(fold).to_have_attribute("open", "")
    expect(page.locator("#prompt-following-matrix")).not_to_have_attribute("open", "")


def test_all_charts_are_drawn_and_nothing_is_wider_than_the_window(study: Study, open_window: OpenWindow) -> None:
    for options in ({}, {"color_scheme": "dark"}, PHONE):
        page = open_window(**options)
        sign_in(page)
        page.goto(reverse("arena:study", args=[study.slug]))
        for summary in page.locator("details > summary").all():
            summary.click()
        assert draw_charts(page) == 10
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_beside_the_chart_every_column_is_seen_without_scrolling(study: Study, open_window: OpenWindow) -> None:
    page = open_window(viewport={"width": 1440, "height": 900})
    sign_in(page)
    page.goto(reverse("arena:study", args=[study.slug]))
    for box in page.locator(".chart-and-table .table-scroll").all():
        assert box.evaluate("box => box.scrollWidth <= box.clientWidth")


def swap_results(page: Page) -> None:
    """What happens every ten seconds while votes come: the window's end tells whether its policy was broken by it."""
    page.evaluate("() => htmx.ajax('GET', location.pathname, {target: '#results', swap: 'outerHTML'})")
    page.wait_for_timeout(200)  # htmx settles what it has put in after a moment


def test_the_switch_for_simulated_raters_works_by_a_click(
    study: Study, open_window: OpenWindow, pictures: Path
) -> None:
    for number, criterion in enumerate(study.criteria.all()):
        bulk_votes(
            study, criterion=criterion, raters=12, strengths=STRENGTHS, seed=20 + number, kind=Rater.Kind.SIMULATED
        )
    fitting.refit(study)
    page = open_window()
    sign_in(page)
    page.goto(reverse("arena:study", args=[study.slug]))
    draw_charts(page)
    page.screenshot(path=pictures / "results.png")
    swap_results(page)
    caption = page.locator("#prompt-following caption").first
    expect(caption).to_contain_text("510 votes, 360 of them simulated")
    page.get_by_role("button", name="Leave simulated raters out").click()
    expect(page.get_by_role("status")).to_have_text("Simulated raters are now left out.")
    expect(caption).to_contain_text("150 votes")
    page.get_by_role("button", name="Count simulated raters").click()
    expect(caption).to_contain_text("510 votes, 360 of them simulated")

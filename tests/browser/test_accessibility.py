"""What axe-core finds on the pages, light and dark, on a desk and on a phone: nothing, by WCAG 2.2 AA."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import reverse
from playwright.sync_api import Page, expect

from arena import fitting, raters
from arena.models import Study
from tests.arena.bulk_votes import bulk_votes
from tests.arena.factories import make_study
from tests.browser.conftest import PHONE, OpenWindow
from tests.browser.signing_in import sign_in
from tests.browser.vote_window import answer_by_keys, wait_until_ready

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
OPTIONS = {"runOnly": {"type": "tag", "values": TAGS}, "resultTypes": ["violations"]}


def violations(page: Page, place: str) -> list[str]:
    """One line for each thing that axe finds, in both colour schemes."""
    found = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        for rule in Axe().run(page, options=OPTIONS).response["violations"]:
            nodes = "; ".join(f"{node['html'][:120]} ({node['failureSummary'][:200]})" for node in rule["nodes"][:3])
            found.append(f"{place}, {scheme}: {rule['id']}: {nodes}")
    page.emulate_media(color_scheme="light")
    return found


@pytest.mark.parametrize("window", [{}, PHONE], ids=["desk", "phone"])
def test_raters_pages_have_no_violation(open_window: OpenWindow, window: dict[str, Any]) -> None:
    study = make_study(contenders=2, prompts=1, with_text=1)
    study.criteria.filter(key="aesthetics").update(shows_prompt=False)
    page = open_window(**window)
    page.goto(reverse("arena:join", args=[raters.invite(study=study)[1]]))
    found = violations(page, "join")
    page.get_by_role("button", name="I agree, begin").click()
    wait_until_ready(page)
    found += violations(page, "vote, before the prompt")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(page.locator("[data-kept]")).to_have_count(1)
    page.keyboard.press("ArrowLeft")
    found += violations(page, "vote")
    for key, sheet in (("s", "skip"), ("r", "report"), ("?", "help")):
        page.keyboard.press(key)
        if page.locator(f"[data-pop={sheet}] .sheet").is_visible():
            found += violations(page, f"vote, {sheet}")
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), sheet
        page.keyboard.press("Escape")
    answer_by_keys(page, "ArrowRight", waits_for_next=False)
    expect(page.get_by_role("heading", name="Thank you!")).to_be_visible()
    assert found + violations(page, "done") == []


@pytest.mark.parametrize("window", [{}, PHONE], ids=["desk", "phone"])
def test_the_results_page_has_no_violation(open_window: OpenWindow, window: dict[str, Any]) -> None:
    study: Study = make_study(contenders=4, prompts=4, images=False, copies=False)
    for number, criterion in enumerate(study.criteria.all()):
        bulk_votes(study, criterion=criterion, raters=3, strengths=[0, 0.4, 0.8, 0.2], seed=number)
    fitting.refit(study)
    page = open_window(**window)
    sign_in(page)
    page.goto(reverse("arena:study", args=[study.slug]))
    expect(page.locator("#results")).to_be_visible()
    assert violations(page, "results") == []

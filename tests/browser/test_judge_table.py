"""The judge table in a real Chromium: sorted by keyboard, compared before and after, excluded and taken back in."""

from pathlib import Path

import numpy as np
import pytest
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Page, expect

from arena import fitting, gold, judging
from arena.models import Exclusion, Study
from tests.arena import factories
from tests.arena.judged_study import add_gold_answers, add_rater
from tests.browser.conftest import PHONE, OpenWindow

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]


@pytest.fixture
def study() -> Study:
    """Ten careful raters, one who always says left, one who answers within a second, one who misses known answers."""
    study = factories.make_study(contenders=5, prompts=3, with_text=0)
    first, second = study.contenders.order_by("position")[:2]
    known = gold.propose(
        study=study,
        study_prompt=study.study_prompts.get(position=0),
        first=first,
        second=second,
        answers={study.criteria.get(position=0).key: "second"},
        proposer=None,
    )
    gold.review(known, reviewer=factories.make_user())
    rng = np.random.default_rng(3)
    for _ in range(10):
        pace = float(rng.uniform(4, 9))
        add_gold_answers(add_rater(study, rng, votes=40, seconds=pace), known, asked=4, right=4)
    add_gold_answers(add_rater(study, rng, votes=40, always="left", seconds=5.0), known, asked=4, right=2)
    add_gold_answers(add_rater(study, rng, votes=40, seconds=0.6), known, asked=4, right=3)
    add_gold_answers(add_rater(study, rng, votes=20, seconds=7.0), known, asked=8, right=2)
    fitting.refit(study)
    judging.judge(study)
    return study


def sign_in(page: Page) -> None:
    client = Client()
    client.force_login(factories.make_user())
    page.goto(reverse("arena:login"))
    site = page.evaluate("location.origin")
    page.context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": f"{site}/"}])


def test_from_suspicion_to_exclusion_and_back(study: Study, open_window: OpenWindow, pictures: Path) -> None:
    page = open_window(viewport={"width": 1440, "height": 1000})
    sign_in(page)
    page.goto(reverse("arena:study", args=[study.slug]))
    page.get_by_role("link", name="look at the raters").click()
    expect(page.get_by_role("heading", name="Raters")).to_be_visible()
    checked = page.locator("input[name=rater]:checked")
    expect(checked).to_have_count(3)  # whoever is under suspicion is proposed, and nobody else
    page.screenshot(path=pictures / "judge-table.png")
    page.get_by_role("button", name="Compare without the chosen raters").press("Enter")
    expect(page.get_by_role("heading", name="Before and after")).to_be_visible()
    page.screenshot(path=pictures / "before-and-after.png")
    assert not Exclusion.objects.exists()
    page.get_by_label("Why are these votes taken out?").fill("not looking at the images")
    page.get_by_role("button", name="Exclude 3 raters").click()
    expect(page.get_by_text("Excluded: not looking at the images")).to_have_count(3)
    page.get_by_role("button", name="Compare with these votes back in").first.click()
    page.get_by_label("Why do these votes count again?").fill("they explained it")
    page.get_by_role("button", name="Count these votes again").click()
    expect(page.get_by_text("Excluded: not looking at the images")).to_have_count(2)


def test_it_sorts_by_a_column_and_back(study: Study, open_window: OpenWindow) -> None:
    page = open_window()
    sign_in(page)
    page.goto(reverse("arena:raters", args=[study.slug]))
    page.get_by_role("link", name="Left").focus()
    page.keyboard.press("Enter")
    expect(page.locator("th[aria-sort=descending]")).to_contain_text("Left")
    expect(page.locator("tbody tr").first).to_contain_text("100 %")
    page.get_by_role("link", name="Left").click()
    expect(page.locator("th[aria-sort=ascending]")).to_contain_text("Left")
    expect(page.locator("tbody tr").last).to_contain_text("100 %")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_only_the_table_scrolls_sideways(
    study: Study, open_window: OpenWindow, scheme: str, tmp_path: Path
) -> None:
    page = open_window(**PHONE, color_scheme=scheme)
    sign_in(page)
    page.goto(reverse("arena:raters", args=[study.slug]))
    expect(page.get_by_role("heading", name="Raters")).to_be_visible()
    page.screenshot(path=tmp_path / f"judge-table-{scheme}.png")
    assert not page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")

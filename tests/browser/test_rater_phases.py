"""A rater's whole way in a real Chromium: consent, instructions, questions, qualification, ballots, completion."""

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Page, expect

from arena import raters
from arena.models import Ballot, Provider, RaterIdentity, Study
from tests.arena.factories import make_study, make_user
from tests.browser.conftest import PHONE, OpenWindow
from tests.browser.vote_window import press, questions, wait_until_ready

pytestmark = pytest.mark.django_db(transaction=True)

FIRST, SECOND = "colours-0, 1 steps", "colours-0, 2 steps"


@pytest.fixture
def study() -> Study:
    known = {"left": FIRST, "right": SECOND, "answers": {"prompt-following": "left", "aesthetics": "left"}}
    asked = {"key": "sight", "question": "Do you see colours as most people do?", "choices": ["Yes", "No"]}
    study = make_study(
        prompts=6,
        ballots_per_rater=3,
        rules={
            "instructions": True,
            "screening": [{**asked, "allowed": ["Yes"]}],
            "qualification": {"tasks": [{"prompt": prompt, **known} for prompt in (2, 3, 4)]},
        },
    )
    codes = {"completed": "C0MPLETE", "failed": "FA1LED", "screened_out": "0UT"}
    Provider.objects.create(study=study, kind=Provider.Kind.PROLIFIC, settings={"codes": codes})
    return study


def answer(page: Page, key: str) -> None:
    """Answer every question of the open ballot with one key and send it, whatever comes next."""
    token = wait_until_ready(page)
    for _ in questions(page):
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    expect(page.locator(f'form.ballot[data-ballot="{token}"]')).to_have_count(0)


def known_key(page: Page) -> str:
    ballot = Ballot.objects.select_related("left_contender").get(token=wait_until_ready(page))
    assert ballot.purpose == Ballot.Purpose.QUALIFICATION
    return "ArrowLeft" if ballot.left_contender.label == FIRST else "ArrowRight"


def test_from_the_panels_link_to_the_completion_code_by_keyboard_alone(
    study: Study, open_window: OpenWindow, pictures: Path
) -> None:
    page = open_window()
    entry = reverse("arena:join_from_panel", args=[study.slug])
    page.goto(f"{entry}?PROLIFIC_PID=p1&STUDY_ID=s1&SESSION_ID=e1")
    press(page, page.get_by_role("button", name="I agree, begin"))

    expect(page.get_by_role("heading", name="How it works")).to_be_visible()
    images = page.locator(".example-pair img")
    expect(images).to_have_count(8)
    for image in images.all():
        expect(image).to_have_js_property("complete", value=True)
        assert image.evaluate("image => image.naturalWidth") > 0
    page.screenshot(path=pictures / "instructions.png", full_page=True)
    page.locator("[data-practice]").scroll_into_view_if_needed()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("[data-feedback] b")).to_have_text(["Not quite."])
    page.locator("[data-practice]").scroll_into_view_if_needed()
    page.keyboard.press("ArrowRight")
    expect(page.locator("[data-feedback] b")).to_have_text(["Yes."])
    press(page, page.get_by_role("button", name="Understood, begin"))

    expect(page.get_by_role("heading", name="A few questions first")).to_be_visible()
    press(page, page.get_by_label("Yes"), key="Space")
    press(page, page.get_by_role("button", name="Go on"))

    expect(page.get_by_text("You see 3 pairs to which the answers are known.")).to_be_visible()
    page.screenshot(path=pictures / "qualification.png")
    press(page, page.get_by_role("button", name="Begin"))
    for number in range(3):
        expect(page.locator("[data-progress]")).to_contain_text(f"{number} of 3")
        answer(page, known_key(page))
    for _ in range(3):
        assert Ballot.objects.get(token=wait_until_ready(page)).purpose == Ballot.Purpose.ORDINARY
        answer(page, "ArrowLeft")
    expect(page.get_by_role("heading", name="Thank you!")).to_be_visible()
    back = page.get_by_role("link", name="Back to your panel")
    expect(back).to_have_attribute("href", "https://app.prolific.com/submissions/complete?cc=C0MPLETE")
    page.screenshot(path=pictures / "done-panel.png")
    rater = RaterIdentity.objects.get(external_id="p1").rater
    answered = rater.ballots.filter(state=Ballot.State.ANSWERED).order_by("position")
    assert list(answered.values_list("purpose", flat=True)) == ["qualification"] * 3 + ["ordinary"] * 3
    assert set(rater.votes.values_list("ballot__purpose", "is_ordinary")) == {
        ("qualification", False),
        ("ordinary", True),
    }


@pytest.mark.once
def test_on_a_phone_the_button_is_within_reach_and_nothing_scrolls_sideways(
    study: Study, open_window: OpenWindow, pictures: Path
) -> None:
    page = open_window(**PHONE, color_scheme="dark")
    _, token = raters.invite(study=study)
    page.goto(reverse("arena:join", args=[token]))
    page.get_by_role("button", name="I agree, begin").click()
    begin = page.get_by_role("button", name="Understood, begin")
    expect(begin).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.screenshot(path=pictures / "instructions-phone.png")
    begin.click()
    expect(page.get_by_role("button", name="Go on")).to_be_in_viewport()
    page.screenshot(path=pictures / "questions-phone.png")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.once
def test_links_are_made_shown_once_and_revoked(study: Study, open_window: OpenWindow, pictures: Path) -> None:
    make_user("boss", is_superuser=True)
    page = open_window(**PHONE)
    page.context.add_cookies([session_cookie(page, "boss")])
    page.goto(reverse("arena:invitations", args=[study.slug]))
    expect(page.get_by_text("No links yet.")).to_be_visible()
    page.get_by_label("How many links").fill("3")
    page.get_by_label("For whom").fill("lab")
    page.get_by_label("People per link").fill("1")
    page.get_by_role("button", name="Make and show once").click()
    expect(page.locator(".links li")).to_have_count(3)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.set_viewport_size({"width": 1440, "height": 900})
    page.screenshot(path=pictures / "invitations.png", full_page=True)
    page.get_by_role("button", name="Revoke lab 2").click()
    expect(page.get_by_role("row", name="lab 2")).to_contain_text("no, revoked")
    expect(page.locator(".links")).to_have_count(0)


def session_cookie(page: Page, name: str) -> Any:
    """A cookie that signs this person in."""
    browser = Client()
    browser.force_login(make_user(name))
    value = browser.cookies["sessionid"].value
    return {"name": "sessionid", "value": value, "domain": "localhost", "path": "/"}

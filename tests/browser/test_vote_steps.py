"""Undo, questions before the prompt, holding to zoom, and bad lines, on the vote page in a real Chromium."""

from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import Page, Route, expect

from arena import raters
from arena.models import Ballot, ImageReport, Study, Vote
from arena.vote_chain import check_chain
from tests.arena.factories import make_study
from tests.browser.conftest import PATIENCE, PHONE, OpenWindow
from tests.browser.vote_window import (
    answer_by_keys,
    join,
    questions,
    saved_line,
    wait_for_the_next_two,
    wait_until_ready,
)

pytestmark = pytest.mark.django_db(transaction=True)

LONGEST_RETRY = 15_000  # milliseconds between two tries to send an answer, at most
UNDONE = "↶ Undone: here is the pair again."
PLACES = """() => {
  const pair = document.querySelector("[data-pair]");
  return [...pair.querySelectorAll("img")].map((image) => getComputedStyle(image).transformOrigin);
}"""


@pytest.fixture
def study() -> Study:
    return make_study(contenders=4, prompts=8, with_text=4)


@pytest.fixture
def blind_study() -> Study:
    study = make_study(contenders=3, prompts=3, with_text=3)
    study.criteria.filter(key="aesthetics").update(shows_prompt=False)
    rules = {**study.rater_rules, "one_question_at_a_time": True}
    Study.objects.filter(pk=study.pk).update(rater_rules=rules)
    return study


def choices_of(token: str) -> set[str]:
    return set(Ballot.objects.get(token=token).votes.values_list("choice", flat=True))


def test_undo_brings_the_pair_back_and_its_new_answer_counts(study: Study, open_window: OpenWindow) -> None:
    page = open_window()
    join(page, study)
    first = wait_for_the_next_two(page)
    expect(page.locator("[data-undo]")).to_be_disabled()
    answer_by_keys(page, "1")
    second = wait_until_ready(page)
    expect(saved_line(page)).to_have_text("✓ Saved")
    page.keyboard.press("ArrowDown")  # begun, and still there after the detour
    page.keyboard.press("u")
    expect(saved_line(page)).to_have_text(UNDONE)
    page.keyboard.press("u")
    expect(saved_line(page)).to_have_text("There is nothing to undo.")
    again = wait_until_ready(page)
    assert Ballot.objects.get(token=again).supersedes == Ballot.objects.get(token=first)
    expect(page.locator("[data-progress]")).to_contain_text("0 of 40")
    answer_by_keys(page, "ArrowRight")
    assert wait_until_ready(page) == second
    expect(page.locator("input:checked")).to_have_count(1)
    expect(page.locator("[data-progress]")).to_contain_text("1 of 40")
    assert (choices_of(first), choices_of(again)) == ({"left"}, {"right"})
    assert set(Vote.objects.counted().values_list("choice", flat=True)) == {"right"}
    assert check_chain(study.raters.get()) == []


@pytest.mark.once
def test_undo_in_one_tab_while_another_has_gone_on(study: Study, open_window: OpenWindow) -> None:
    page = open_window()
    join(page, study)
    answer_by_keys(page)
    expect(saved_line(page)).to_have_text("✓ Saved")
    second = page.context.new_page()
    second.goto(reverse("arena:vote", args=[study.slug]))
    answer_by_keys(second)
    expect(saved_line(second)).to_have_text("✓ Saved")
    page.keyboard.press("u")  # of what is not the last answer any more
    expect(saved_line(page)).to_have_text("Only the pair that you answered last can be undone.")
    assert not Ballot.objects.filter(state=Ballot.State.SUPERSEDED).exists()


@pytest.mark.once
def test_undo_waits_for_an_answer_that_is_still_on_its_way(study: Study, open_window: OpenWindow) -> None:
    page = open_window()
    join(page, study)
    first = wait_for_the_next_two(page)
    page.context.set_offline(True)
    answer_by_keys(page)
    expect(saved_line(page)).to_contain_text("1 answer is not saved yet")
    page.keyboard.press("u")
    expect(saved_line(page)).to_have_text("This will be undone once it is saved.")
    page.context.set_offline(False)
    expect(saved_line(page)).to_have_text(UNDONE, timeout=LONGEST_RETRY + PATIENCE)
    assert Ballot.objects.get(token=wait_until_ready(page)).supersedes == Ballot.objects.get(token=first)


@pytest.mark.once
def test_an_answer_whose_receipt_was_lost_is_neither_lost_nor_doubled(study: Study, open_window: OpenWindow) -> None:
    page = open_window()
    join(page, study)
    first = wait_for_the_next_two(page)
    lost: list[str] = []

    def lose_the_first_receipt(route: Route) -> None:
        if route.request.method != "POST" or lost:
            return route.continue_()
        lost.append(route.fetch().text())  # the server has it
        return route.abort("connectionfailed")

    page.route("**/vote/**", lose_the_first_receipt)
    answer_by_keys(page, "ArrowRight")
    expect(saved_line(page)).to_have_text("✓ Already recorded", timeout=LONGEST_RETRY + PATIENCE)
    assert '"saved": true' in lost[0]
    assert choices_of(first) == {"right"}
    assert Vote.objects.filter(ballot__token=first).count() == Vote.objects.count()


@pytest.mark.once
def test_the_back_button_shows_the_ballot_in_turn(study: Study, open_window: OpenWindow) -> None:
    page = open_window()
    join(page, study)
    answer_by_keys(page)
    token = wait_until_ready(page)
    expect(saved_line(page)).to_have_text("✓ Saved")
    page.goto(reverse("arena:done", args=[study.slug]))
    page.go_back()
    assert wait_until_ready(page) == token
    answer_by_keys(page)
    expect(page.locator("[data-progress]")).to_contain_text("2 of 40")


@pytest.mark.once
def test_judged_by_eye_first_one_question_at_a_time(blind_study: Study, open_window: OpenWindow) -> None:
    page = open_window()
    join(page, blind_study)
    token = wait_until_ready(page)
    assert questions(page) == ["aesthetics"]
    assert "a sign that says" not in page.content()
    image = page.locator("[data-pair] img").first.element_handle()
    before = page.locator("[data-pair]").bounding_box()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator("#prompt")).to_contain_text("a sign that says")
    assert page.locator("[data-pair] img").first.evaluate("(now, old) => now === old", image)
    assert page.locator("[data-pair]").bounding_box() == before
    assert set(questions(page)) == {"prompt-following", "typography"}
    expect(page.locator(".criterion").filter(visible=True)).to_have_count(1)
    answer_by_keys(page, ["ArrowLeft", "ArrowDown"])
    expect(saved_line(page)).to_have_text("✓ Saved")
    choices = dict(Ballot.objects.get(token=token).votes.values_list("criterion__key", "choice"))
    assert choices == {"aesthetics": "right", "prompt-following": "left", "typography": "tie"}


@pytest.mark.once
def test_the_text_comes_once_the_line_is_back(blind_study: Study, open_window: OpenWindow) -> None:
    page = open_window()
    join(page, blind_study)
    wait_for_the_next_two(page)
    page.context.set_offline(True)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator("[data-problem]")).to_contain_text("The server cannot be reached")
    page.context.set_offline(False)
    page.keyboard.press("Enter")
    expect(page.locator("#prompt")).to_contain_text("a sign that says")
    assert Ballot.objects.get(first_answers__isnull=False).first_answers == {"aesthetics": "right"}


@pytest.mark.once
def test_without_a_script_the_text_comes_in_a_second_step(blind_study: Study, open_window: OpenWindow) -> None:
    page = open_window(java_script_enabled=False)
    page.goto(reverse("arena:join", args=[raters.invite(study=blind_study)[1]]))
    page.get_by_role("button", name="I agree, begin").click()
    assert "a sign that says" not in page.content()
    page.locator("[data-criterion] label", has_text="Right").click()
    page.get_by_role("button", name="Show the text").click()
    expect(page.locator("#prompt")).to_contain_text("a sign that says")
    for row in page.locator("[data-criterion]").all():
        row.locator("label", has_text="Tie").click()
    page.get_by_role("button", name="Next").click()
    expect(saved_line(page)).to_have_text("✓ Saved")
    page.get_by_role("button", name="Undo").click()
    expect(saved_line(page)).to_have_text(UNDONE)


def zoomed_at(page: Page) -> str:
    """Where both images are looked at; the same place of both."""
    expect(page.locator("[data-pair]")).to_have_class("pair zoomed")
    left, right = page.evaluate(PLACES)
    assert left == right
    return str(left)


@pytest.mark.once
def test_both_images_are_enlarged_for_as_long_as_one_is_held(study: Study, open_window: OpenWindow) -> None:
    page = open_window()
    join(page, study)
    token = wait_until_ready(page)
    box = page.locator(".look").first.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    before = zoomed_at(page)
    page.mouse.move(300, 300)
    assert zoomed_at(page) != before
    page.mouse.up()
    expect(page.locator("[data-pair]")).to_have_class("pair")
    page.keyboard.down("z")
    before = zoomed_at(page)
    page.wait_for_timeout(300)  # what is let go sooner is a tap, which leaves the zoom open
    page.keyboard.press("ArrowRight")
    assert zoomed_at(page) != before
    page.keyboard.up("z")
    expect(page.locator("[data-pair]")).to_have_class("pair")
    page.locator(".look").first.click()
    zoomed_at(page)
    page.locator(".look").first.click()
    expect(page.locator("[data-pair]")).to_have_class("pair")
    assert wait_until_ready(page) == token
    expect(page.locator("input:checked")).to_have_count(0)


@pytest.mark.once
def test_a_finger_that_is_held_enlarges_both_images(study: Study, open_window: OpenWindow) -> None:
    page = open_window(**PHONE)
    join(page, study)
    wait_until_ready(page)
    box = page.locator(".look").first.bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    finger = page.context.new_cdp_session(page)
    touch = "Input.dispatchTouchEvent"
    finger.send(touch, {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    before = zoomed_at(page)
    for step in range(1, 5):
        finger.send(touch, {"type": "touchMove", "touchPoints": [{"x": x + 20 * step, "y": y + 20 * step}]})
    expect(page.locator("[data-pair]")).not_to_have_css("--x", "50%")
    assert zoomed_at(page) != before
    finger.send(touch, {"type": "touchEnd", "touchPoints": []})
    expect(page.locator("[data-pair]")).to_have_class("pair")
    assert page.evaluate("scrollY") == 0


@pytest.mark.once
def test_a_broken_image_is_reported_by_keyboard_and_another_pair_comes(study: Study, open_window: OpenWindow) -> None:
    page = open_window()
    join(page, study)
    ballot = Ballot.objects.get(token=wait_until_ready(page))
    page.keyboard.press("r")
    page.get_by_label("the right (or lower) one").check()
    page.keyboard.press("Enter")
    expect(page.locator("[data-problem]")).to_have_text("Choose what is wrong with the image.")
    page.get_by_label("An image is broken or does not show").check()
    page.keyboard.press("Enter")
    expect(page.locator(f'form.ballot[data-ballot="{ballot.token}"]')).to_have_count(0)
    expect(saved_line(page)).to_have_text("✓ Saved")
    assert set(ballot.votes.values_list("choice", "skip_reason")) == {("skip", "not_shown")}
    assert list(ImageReport.objects.values_list("image", "kind")) == [(ballot.right_image_id, "broken")]


@pytest.mark.once
@pytest.mark.parametrize("window", [{}, PHONE], ids=["desk", "phone"])
def test_the_language_can_be_switched_on_the_page(
    study: Study, open_window: OpenWindow, window: dict[str, Any]
) -> None:
    page = open_window(locale="de-DE", **window)
    page.goto(reverse("arena:join", args=[raters.invite(study=study)[1]]))
    page.get_by_role("button", name="Einverstanden, anfangen").click()
    token = wait_until_ready(page)
    answer_by_keys(page)
    expect(saved_line(page)).to_have_text("✓ Gespeichert")
    second = wait_until_ready(page)
    assert second != token
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("button", name="Next")).to_be_visible()
    assert wait_until_ready(page) == second

"""The vote page in a real Chromium: by keyboard, by touch, in the dark, without a script, and with the server away."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, Route, expect

from arena import display, raters, studies
from arena.models import Ballot, Study, Vote
from tests.arena.factories import make_image, make_study
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
SWITCH = """() => {
  const began = performance.now();
  document.querySelector("[data-next]").click();
  const milliseconds = performance.now() - began;
  const form = document.querySelector("form.ballot");
  const images = Array.from(form.querySelectorAll(".pair img"));
  return {
    milliseconds,
    token: form.dataset.ballot,
    state: form.querySelector("[data-pair]").dataset.state,
    isDrawn: images.map((image) => image.complete && image.naturalWidth > 0),
  };
}"""
MEANING = {"ArrowLeft": "left", "ArrowRight": "right", "ArrowDown": "tie"}


@pytest.fixture
def study() -> Study:
    return make_study(contenders=4, prompts=8, with_text=4)


def choices_of(ballot: Ballot) -> dict[str, str]:
    return dict(ballot.votes.values_list("criterion__key", "choice"))


def refuse(route: Route) -> None:
    """As if the line were cut, for answers only."""
    if route.request.method == "POST":
        route.abort("connectionfailed")
    else:
        route.continue_()


def rectangles(page: Page) -> list[dict[str, float] | None]:
    """Where both images, the first question and the button lie."""
    places = ["[data-pair] img >> nth=0", "[data-pair] img >> nth=1", "[data-criterion] >> nth=0", "[data-next]"]
    return [page.locator(place).bounding_box() for place in places]  # type: ignore[misc]


def test_ten_ballots_by_keyboard_alone(study: Study, open_window: OpenWindow, pictures: Path) -> None:
    page = open_window()
    join(page, study)
    wait_until_ready(page)
    page.screenshot(path=pictures / "vote.png")
    keys = ["ArrowLeft", "ArrowRight", "ArrowDown"]
    sent: dict[str, dict[str, str]] = {}
    while len(sent) < 10 or {len(choices) for choices in sent.values()} != {2, 3}:  # prompts come by chance
        token = wait_until_ready(page)
        shift = len(sent) % 3
        pressed = answer_by_keys(page, keys[shift:] + keys[:shift])
        sent[token] = {question: MEANING[key] for question, key in pressed.items()}
    expect(saved_line(page)).to_have_text("✓ Saved")
    expect(page.locator("[data-progress]")).to_contain_text(f"{len(sent)} of 40")
    answered = Ballot.objects.filter(state=Ballot.State.ANSWERED)
    assert {ballot.token: choices_of(ballot) for ballot in answered} == sent
    assert all(milliseconds for milliseconds in Vote.objects.values_list("page_milliseconds", flat=True))


@pytest.mark.once
def test_nothing_moves_when_the_next_pair_comes(study: Study, open_window: OpenWindow) -> None:
    for options in ({}, PHONE, {"viewport": {"width": 820, "height": 1180}}):
        page = open_window(**options)
        join(page, study)
        places, asked = list[object](), set[int]()
        while len(places) < 6 or asked != {2, 3}:  # prompts come by chance; the test must see both kinds
            wait_until_ready(page)
            places.append(rectangles(page))
            asked.add(len(questions(page)))
            answer_by_keys(page)
        assert places == [places[0]] * len(places)


@pytest.mark.once
def test_both_images_and_every_control_are_on_the_first_screen(study: Study, open_window: OpenWindow) -> None:
    sizes = [(1440, 900), (1280, 680), (820, 1180), (390, 664), (360, 640), (844, 390)]
    for width, height in sizes:
        page = open_window(viewport={"width": width, "height": height})
        join(page, study)
        wait_until_ready(page)
        for box in [*rectangles(page), page.locator("#prompt").bounding_box()]:
            assert box is not None
            assert box["x"] >= 0 and box["y"] >= 0
            assert box["x"] + box["width"] <= width and box["y"] + box["height"] <= height, (width, height)
        left, right, *_ = rectangles(page)
        assert left and right and (left["width"], left["height"]) == (right["width"], right["height"])


@pytest.mark.once
def test_on_a_phone_by_touch(study: Study, open_window: OpenWindow, pictures: Path) -> None:
    page = open_window(**PHONE)
    join(page, study)
    for _ in range(3):
        token = wait_until_ready(page)
        page.screenshot(path=pictures / "vote-phone.png")
        for _ in questions(page):
            lit = page.locator("[data-criterion].in-turn")
            for label in lit.locator("label").all():
                box = label.bounding_box()
                assert box and box["height"] >= 44 and box["width"] >= 44
            lit.locator("label", has_text="Lower").tap()
        page.get_by_role("button", name="Next").tap()
        expect(page.locator(f'form.ballot[data-ballot="{token}"]')).to_have_count(0)
    expect(page.locator("[data-progress]")).to_contain_text("3 of 40")
    assert set(Vote.objects.values_list("choice", flat=True)) == {"right"}
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.once
def test_on_a_phone_an_answer_can_be_changed_before_it_is_sent(study: Study, open_window: OpenWindow) -> None:
    page = open_window(**PHONE)
    join(page, study)
    wait_until_ready(page)
    first = questions(page)[0]
    page.locator(".in-turn label", has_text="Upper").tap()
    page.get_by_role("button", name="Back").tap()
    expect(page.locator(".in-turn")).to_have_attribute("data-criterion", first)
    page.locator(".in-turn label", has_text="Lower").tap()
    for _ in questions(page)[1:]:
        page.locator(".in-turn label", has_text="Tie").tap()
    page.get_by_role("button", name="Next").tap()
    expect(saved_line(page)).to_have_text("✓ Saved")
    assert Vote.objects.get(criterion__key=first).choice == "right"


@pytest.mark.once
def test_in_the_dark(study: Study, open_window: OpenWindow, pictures: Path) -> None:
    page = open_window(color_scheme="dark")
    join(page, study)
    wait_until_ready(page)
    page.keyboard.press("ArrowLeft")
    page.screenshot(path=pictures / "vote-dark.png")
    assert page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor") == "rgb(46, 46, 46)"


@pytest.mark.once
def test_the_vote_page_has_no_colour_but_the_images(study: Study, open_window: OpenWindow) -> None:
    for scheme in ("light", "dark"):
        page = open_window(color_scheme=scheme)
        join(page, study)
        wait_until_ready(page)
        page.keyboard.press("ArrowLeft")
        colours = page.evaluate(
            """[...document.querySelectorAll("body, body *")].flatMap((element) => {
              const style = getComputedStyle(element);
              return [style.color, style.backgroundColor, style.borderTopColor, style.outlineColor];
            })"""
        )
        for colour in set(colours):
            red, green, blue, *_ = (part.strip() for part in colour[colour.index("(") + 1 : -1].split(","))
            assert red == green == blue, colour


@pytest.mark.once
def test_without_a_script(study: Study, open_window: OpenWindow, pictures: Path) -> None:
    page = open_window(java_script_enabled=False)
    join_without_script(page, study)
    for number in range(3):
        token = page.locator("form.ballot").get_attribute("data-ballot")
        for row in page.locator("[data-criterion]").all():
            row.locator("label", has_text="Tie").click()
        page.screenshot(path=pictures / "vote-without-script.png")
        page.get_by_role("button", name="Next").click()
        expect(page.locator("[data-progress]")).to_contain_text(f"{number + 1} of 40")
        expect(saved_line(page)).to_have_text("✓ Saved")
        assert page.locator("form.ballot").get_attribute("data-ballot") != token
    page.locator("summary", has_text="Skip").click()
    page.get_by_label("I cannot tell").check()
    page.get_by_role("button", name="Skip this pair").click()
    expect(page.locator("[data-progress]")).to_contain_text("4 of 40")
    assert sorted(set(Vote.objects.values_list("choice", flat=True))) == ["skip", "tie"]


def join_without_script(page: Page, study: Study) -> None:
    page.goto(reverse("arena:join", args=[raters.invite(study=study)[1]]))
    page.get_by_role("button", name="I agree, begin").click()


@pytest.mark.once
def test_the_next_pair_is_there_at_once(study: Study, open_window: OpenWindow) -> None:
    page = open_window()
    asked_for: list[str] = []
    page.on("request", lambda request: asked_for.append(request.url))
    join(page, study)
    before = wait_for_the_next_two(page)
    for number in range(6):
        for _ in questions(page):
            page.keyboard.press("ArrowLeft")
        asked_for.clear()
        seen = page.evaluate(SWITCH)
        shown = seen["token"]
        assert shown != before
        assert (seen["state"], seen["isDrawn"]) == ("ready", [True, True])
        assert seen["milliseconds"] <= 500  # says only that nothing is waited for: a busy machine is no fault
        before = wait_for_the_next_two(page, answered=number + 1)
        assert before == shown
        assert [address for address in asked_for if f"/{shown}/" in address] == []


@pytest.mark.once
def test_reload_shows_the_same_open_ballot(study: Study, open_window: OpenWindow) -> None:
    page = open_window()
    join(page, study)
    answer_by_keys(page)
    token = wait_until_ready(page)
    expect(saved_line(page)).to_have_text("✓ Saved")
    page.reload()
    assert wait_until_ready(page) == token


@pytest.mark.once
def test_an_answer_can_be_changed_before_it_is_sent(study: Study, open_window: OpenWindow) -> None:
    page = open_window()
    join(page, study)
    wait_until_ready(page)
    asked = questions(page)
    for _ in asked:
        page.keyboard.press("ArrowLeft")
    for _ in asked:
        page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(saved_line(page)).to_have_text("✓ Saved")
    assert choices_of(Ballot.objects.get(state="answered")) == {**dict.fromkeys(asked, "left"), asked[0]: "right"}


@pytest.mark.once
def test_a_held_key_is_one_answer_and_enter_waits_for_all(study: Study, open_window: OpenWindow) -> None:
    page = open_window()
    join(page, study)
    token = wait_until_ready(page)
    for _ in range(6):
        page.keyboard.down("ArrowLeft")  # without "up", Chromium reports repeats
    expect(page.locator("input:checked")).to_have_count(1)
    page.keyboard.up("ArrowLeft")
    page.keyboard.press("Enter")
    expect(page.locator("input:checked")).to_have_count(1)
    assert wait_until_ready(page) == token
    assert Vote.objects.count() == 0


@pytest.mark.once
def test_skip_help_and_zoom_by_keyboard(study: Study, open_window: OpenWindow) -> None:
    page = open_window()
    join(page, study)
    token = wait_until_ready(page)
    page.keyboard.press("?")
    expect(page.get_by_text("send the answers, next pair")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_text("send the answers, next pair")).to_be_hidden()
    page.keyboard.press("z")
    expect(page.locator("[data-pair]")).to_have_class("pair zoomed")
    page.keyboard.press("ArrowRight")
    expect(page.locator("input:checked")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(page.locator("[data-pair]")).to_have_class("pair")
    page.keyboard.press("s")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator(f'form.ballot[data-ballot="{token}"]')).to_have_count(0)
    expect(saved_line(page)).to_have_text("✓ Saved")
    assert set(Vote.objects.values_list("choice", "skip_reason")) == {("skip", "unclear_prompt")}


@pytest.mark.once
def test_an_answer_that_cannot_be_sent_is_kept_said_and_sent_later(study: Study, open_window: OpenWindow) -> None:
    page = open_window()
    join(page, study)
    first = wait_for_the_next_two(page)
    expect(page.locator("[data-pair]")).to_be_visible()
    page.route("**/vote/**", refuse)
    answer_by_keys(page, "ArrowRight")
    expect(saved_line(page)).to_contain_text("1 answer is not saved yet")
    second = wait_until_ready(page)
    answer_by_keys(page, "ArrowDown")
    expect(saved_line(page)).to_contain_text("2 answers are not saved yet")
    assert Vote.objects.count() == 0
    page.unroute("**/vote/**")
    expect(saved_line(page)).to_have_text("✓ Saved", timeout=LONGEST_RETRY + PATIENCE)
    expect(page.locator("[data-progress]")).to_contain_text("2 of 40")
    ballots = Ballot.objects.in_bulk([first, second], field_name="token")
    assert set(choices_of(ballots[first]).values()) == {"right"}
    assert set(choices_of(ballots[second]).values()) == {"tie"}


@pytest.mark.once
def test_an_unsaved_answer_survives_a_reload(study: Study, open_window: OpenWindow) -> None:
    page = open_window()
    page.on("dialog", lambda dialog: dialog.accept())
    join(page, study)
    token = wait_for_the_next_two(page)
    page.route("**/vote/**", refuse)
    answer_by_keys(page, "ArrowRight")
    expect(saved_line(page)).to_contain_text("1 answer is not saved yet")
    page.reload()  # still cut off, so that only what was kept can say so
    expect(saved_line(page)).to_contain_text("1 answer is not saved yet")
    assert Vote.objects.count() == 0
    page.unroute("**/vote/**")
    expect(saved_line(page)).to_have_text("✓ Saved", timeout=LONGEST_RETRY + PATIENCE)
    assert set(choices_of(Ballot.objects.get(token=token)).values()) == {"right"}
    assert wait_until_ready(page) != token


def test_a_second_tab_answers_what_the_first_had_open(study: Study, open_window: OpenWindow) -> None:
    page = open_window()
    join(page, study)
    token = wait_until_ready(page)
    second = page.context.new_page()
    second.goto(reverse("arena:vote", args=[study.slug]))
    assert wait_until_ready(second) == token
    answer_by_keys(second, "ArrowLeft")
    expect(saved_line(second)).to_have_text("✓ Saved")
    answer_by_keys(page, "ArrowRight")
    expect(saved_line(page)).to_have_text("✓ Already recorded")
    assert set(choices_of(Ballot.objects.get(token=token)).values()) == {"left"}
    assert wait_until_ready(page) != token


@pytest.mark.once
def test_an_image_that_does_not_load_is_said_and_cannot_be_answered(study: Study, open_window: OpenWindow) -> None:
    page = open_window()
    page.route("**/right.webp", lambda route: route.abort())
    join(page, study)
    expect(page.locator("[data-problem]")).to_contain_text("An image did not load")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("input:checked")).to_have_count(0)


@pytest.mark.once
def test_the_last_ballot_leads_to_the_thanks(open_window: OpenWindow, pictures: Path) -> None:
    page = open_window()
    join(page, make_study(ballots_per_rater=2))
    answer_by_keys(page)
    wait_until_ready(page)
    for _ in questions(page):
        page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Thank you!")).to_be_visible()
    page.screenshot(path=pictures / "done.png")


@pytest.mark.once
def test_the_waiting_page_opens_the_first_ballot_by_itself(open_window: OpenWindow) -> None:
    study = make_study(images=False, copies=False)
    page = open_window()
    join(page, study)
    expect(page.get_by_role("heading", name="Images are still being made")).to_be_visible()
    for contender in study.contenders.select_related("recipe"):
        for row in study.study_prompts.select_related("prompt"):
            make_image(recipe=contender.recipe, prompt_text=row.prompt.text)
    display.prepare_copies(study=study)
    wait_until_ready(page)


@pytest.mark.once
def test_a_study_paused_in_mid_ballot_is_said(study: Study, open_window: OpenWindow) -> None:
    page = open_window()
    join(page, study)
    wait_for_the_next_two(page)  # worth nothing once the study is paused
    studies.pause_study(study, actor=None)
    for _ in questions(page):
        page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="This study is paused")).to_be_visible()
    assert Vote.objects.count() == 0


@pytest.mark.once
def test_ballots_that_lay_too_long_are_said_and_replaced(study: Study, open_window: OpenWindow) -> None:
    page = open_window()
    join(page, study)
    stale = wait_for_the_next_two(page)
    Ballot.objects.update(lease_until=timezone.now() - timedelta(hours=1))
    answer_by_keys(page)
    expect(saved_line(page)).to_have_text("Not saved")
    expect(page.locator("[data-problem]")).to_contain_text("open for too long")
    assert Ballot.objects.get(token=wait_until_ready(page)).lease_until > timezone.now()  # type: ignore[operator]
    answer_by_keys(page)
    expect(saved_line(page)).to_have_text("✓ Saved")
    assert not Vote.objects.filter(ballot__token=stale).exists()


@pytest.mark.once
def test_a_form_that_is_too_old_asks_for_a_reload_and_keeps_the_answers(study: Study, open_window: OpenWindow) -> None:
    page = open_window()
    page.on("dialog", lambda dialog: dialog.accept())
    join(page, study)
    token = wait_for_the_next_two(page)
    page.context.clear_cookies(name="csrftoken")
    answer_by_keys(page, "ArrowRight")
    expect(saved_line(page)).to_contain_text("reload this page")
    page.reload()
    expect(saved_line(page)).to_have_text("✓ Saved")
    assert set(choices_of(Ballot.objects.get(token=token)).values()) == {"right"}

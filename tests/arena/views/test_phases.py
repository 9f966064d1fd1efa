"""The way to the first ballot: what is shown when, what decides, and what a rater cannot jump over."""

import io
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from PIL import Image as Pictures

from arena import instructions, raters, voting
from arena.admission import Phase
from arena.consent import consent_version
from arena.counted_votes import counted_votes
from arena.models import Admission, Ballot, Consent, Rater, RaterIdentity, Study
from arena.rater_phases import phase_of
from tests.arena.factories import make_study
from tests.arena.views.browsers import JSON, answers_to, joined_browser, open_ballot, vote_address

pytestmark = pytest.mark.django_db

SCREENING = [{"key": "sight", "question": "Do you see colours?", "choices": ["yes", "no"], "allowed": ["yes"]}]


def address(name: str, study: Study) -> str:
    return reverse(f"arena:{name}", args=[study.slug])


def qualification(study_slug: str = "colours", *, tasks: int = 2, **rest: Any) -> dict[str, Any]:
    """Known pairs on the prompts after the first: the first contender is always the right answer."""
    first, second = f"{study_slug}-0, 1 steps", f"{study_slug}-0, 2 steps"
    known = {"left": first, "right": second, "answers": {"prompt-following": "left", "aesthetics": "left"}}
    return {"qualification": {"tasks": [{"prompt": 2 + number, **known} for number in range(tasks)], **rest}}


def answer_known(browser: Client, study: Study, *, rightly: bool) -> None:
    ballot = open_ballot(browser, study)
    assert ballot.purpose == Ballot.Purpose.QUALIFICATION
    is_left = ballot.left_contender.label == "colours-0, 1 steps"
    browser.post(vote_address(study), answers_to(ballot, "left" if is_left == rightly else "right"))


def test_instructions_come_before_the_first_ballot_and_once() -> None:
    study = make_study(rules={"instructions": True})
    browser, _ = joined_browser(study)
    first = browser.get(vote_address(study))
    assert first.headers["Location"] == address("instructions", study)
    assert browser.get(reverse("arena:vote_queue", args=[study.slug]), headers=JSON).json()["ballots"] == []
    page = browser.get(address("instructions", study)).content.decode()
    for criterion in study.criteria.all():
        assert f'data-example="{criterion.key}"' in page and criterion.question in page
    assert page.count("Correct answer:") == 3
    read = browser.post(address("instructions", study), {"read": "1"})
    assert read.headers["Location"] == vote_address(study)
    assert browser.get(vote_address(study)).status_code == 200


def test_the_example_of_a_text_shows_another_text_and_that_of_looks_a_damaged_image() -> None:
    study = make_study(rules={"instructions": True})
    shown = {card.key: card for card in instructions.cards(study)}
    text, looks = shown["prompt-following"], shown["aesthetics"]
    good, other = (text.left, text.right) if text.answer == "left" else (text.right, text.left)
    assert good.image.prompt_text == text.prompt != other.image.prompt_text
    good, worse = (looks.left, looks.right) if looks.answer == "left" else (looks.right, looks.left)
    assert (good.is_damaged, worse.is_damaged, good.image) == (False, True, worse.image)


def test_a_damaged_image_keeps_its_size_and_loses_its_detail() -> None:
    file = io.BytesIO()
    Pictures.effect_noise((64, 48), 120).convert("RGB").save(file, format="WEBP", lossless=True)
    with Pictures.open(io.BytesIO(instructions._damaged(file.getvalue()))) as damaged:
        assert damaged.size == (64, 48)
        low, high = damaged.convert("L").getextrema()
    assert high - low < 120  # type: ignore[operator]


def test_an_example_of_the_owner_is_shown_as_it_was_named() -> None:
    example = {
        "criterion": "aesthetics",
        "prompt": 3,
        "left": "colours-0, 2 steps",
        "right": "colours-0, 1 steps",
        "answer": "right",
        "why": "The left one is dull.",
    }
    study = make_study(rules={"instructions": True, "examples": [example]})
    card = next(card for card in instructions.cards(study) if card.key == "aesthetics")
    prompt = study.study_prompts.get(position=2).prompt
    assert (card.answer, card.why, card.prompt) == ("right", "The left one is dull.", prompt.text)
    assert card.left.image.recipe.name == "colours-0, 2 steps"


def test_images_of_examples_open_by_their_signed_address_alone() -> None:
    study = make_study(rules={"instructions": True})
    card = instructions.cards(study)[0]
    seen = Client().get(reverse("arena:example_image", args=[card.left_token]))
    assert (seen.status_code, seen.headers["Content-Type"]) == (200, "image/webp")
    assert Client().get(reverse("arena:example_image", args=[card.left_token[:-1] + "!"])).status_code == 404
    assert Client().get(reverse("arena:example_image", args=["x:y:z"])).status_code == 404


def test_the_practice_pair_says_whether_it_was_right_and_keeps_nothing() -> None:
    study = make_study(rules={"instructions": True})
    browser, rater = joined_browser(study)
    practice = instructions.practice(study)
    assert practice is not None
    wrong = "right" if practice.answer == "left" else "left"
    said = {
        tried: browser.post(address("instructions", study), {"practice": tried}) for tried in (practice.answer, wrong)
    }
    assert "<b>Yes.</b>" in said[practice.answer].content.decode()
    assert "<b>Not quite.</b>" in said[wrong].content.decode()
    assert not rater.votes.exists() and not Admission.objects.filter(instructions_read_at__isnull=False).exists()


def test_after_a_long_gap_the_instructions_come_again_and_the_same_ballot_after_them() -> None:
    study = make_study(rules={"instructions": True, "instructions_again_after_hours": 24})
    browser, rater = joined_browser(study)
    browser.post(address("instructions", study))
    left = open_ballot(browser, study)
    day_ago = timezone.now() - timedelta(hours=25)
    Admission.objects.update(instructions_read_at=day_ago)
    Ballot.objects.filter(rater=rater).update(lease_until=day_ago)
    voting.expire_abandoned()
    assert browser.get(vote_address(study)).headers["Location"] == address("instructions", study)
    browser.post(address("instructions", study))
    assert open_ballot(browser, study) == left


def test_whoever_votes_on_is_not_shown_the_instructions_again() -> None:
    study = make_study(rules={"instructions": True})
    browser, rater = joined_browser(study)
    browser.post(address("instructions", study))
    browser.post(vote_address(study), answers_to(open_ballot(browser, study)))
    Admission.objects.update(instructions_read_at=timezone.now() - timedelta(hours=30))
    assert phase_of(rater) == Phase.BALLOTS


def test_a_new_consent_text_asks_again_and_keeps_both() -> None:
    study = make_study()
    browser, rater = joined_browser(study)
    assert browser.get(vote_address(study)).status_code == 200
    assert study.owner is not None
    study.owner.first_name = "Grace"
    study.owner.save(update_fields=["first_name"])
    assert browser.get(vote_address(study)).headers["Location"] == address("consent", study)
    queue = browser.get(address("vote_queue", study)).json()
    assert queue["ballots"] == [] and queue["next"] == vote_address(study)  # nor by any other door
    assert "What you agree to has changed" in browser.get(address("consent", study)).content.decode()
    for _ in range(2):
        browser.post(address("consent", study))
    assert browser.get(vote_address(study)).status_code == 200
    assert [("Grace" in text) for text in rater.consents.order_by("pk").values_list("text", flat=True)] == [False, True]
    first, second = rater.consents.order_by("pk").values_list("version", flat=True)
    assert first != second == consent_version(Study.objects.get(pk=study.pk)) and Consent.objects.count() == 2


def test_questions_are_answered_once_and_kept_apart_from_votes() -> None:
    study = make_study(rules={"screening": SCREENING})
    browser, rater = joined_browser(study)
    assert browser.get(vote_address(study)).headers["Location"] == address("screening", study)
    assert voting.open_ballots(rater=rater) == []
    empty = browser.post(address("screening", study))
    assert empty.status_code == 400 and "has no answer yet" in empty.content.decode()
    browser.post(address("screening", study), {"sight": "yes"})
    assert RaterIdentity.objects.get(rater=rater).screening == {"sight": "yes"}
    assert browser.get(vote_address(study)).status_code == 200


def test_an_answer_outside_what_is_allowed_ends_kindly_and_for_good() -> None:
    study = make_study(rules={"screening": SCREENING})
    browser, rater = joined_browser(study)
    browser.post(address("screening", study), {"sight": "no"})
    browser.post(address("screening", study), {"sight": "yes"})
    page = browser.get(vote_address(study), follow=True)
    assert "That says nothing about you" in page.content.decode()
    assert voting.open_ballots(rater=rater) == [] and phase_of(rater) == Phase.SCREENED_OUT


def test_who_qualifies_goes_on_and_none_of_it_is_counted() -> None:
    study = make_study(rules=qualification())
    browser, rater = joined_browser(study)
    assert browser.get(vote_address(study)).headers["Location"] == address("qualification", study)
    assert voting.open_ballots(rater=rater) == []
    assert "With 2 of them right" in browser.get(address("qualification", study)).content.decode()
    browser.post(address("qualification", study))
    assert raters.progress_of(rater).quota == 2
    for _ in range(2):
        answer_known(browser, study, rightly=True)
    assert open_ballot(browser, study).purpose == Ballot.Purpose.ORDINARY
    assert raters.progress_of(rater).answered == 0
    assert rater.votes.count() == 4 and not counted_votes(study).exists()


def test_the_second_attempt_is_the_last_one() -> None:
    study = make_study(rules=qualification())
    browser, rater = joined_browser(study)
    for attempt in (1, 2):
        browser.post(address("qualification", study))
        answer_known(browser, study, rightly=True)
        answer_known(browser, study, rightly=False)
        if attempt == 1:
            page = browser.get(vote_address(study), follow=True).content.decode()
            assert "1 of 2 were right; 2 are needed." in page and "once more" in page
    page = browser.get(vote_address(study), follow=True).content.decode()
    assert "Thank you for trying" in page and phase_of(rater) == Phase.FAILED
    browser.post(address("qualification", study))
    assert voting.open_ballots(rater=rater) == []


def test_three_of_four_are_enough_for_a_bar_of_three_quarters() -> None:
    study = make_study(prompts=6, rules=qualification(tasks=4))
    browser, rater = joined_browser(study)
    browser.post(address("qualification", study))
    for rightly in (True, False, True, True):
        answer_known(browser, study, rightly=rightly)
    assert phase_of(rater) == Phase.BALLOTS


def test_a_simulated_rater_passes_every_phase() -> None:
    study = make_study(rules={"instructions": True, "screening": SCREENING, **qualification()})
    rater = Rater.objects.create(study=study, kind=Rater.Kind.SIMULATED)
    assert phase_of(rater) == Phase.BALLOTS and len(voting.open_ballots(rater=rater)) == 3


@pytest.mark.once
@pytest.mark.parametrize("name", ["consent", "instructions", "screening", "qualification"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_no_phase_opens_without_having_joined_that_study(name: str, method: str) -> None:
    study, other = make_study(), make_study(slug="other")
    joined_elsewhere, _ = joined_browser(other)
    for browser in (Client(), joined_elsewhere):
        answer = getattr(browser, method)(address(name, study))
        unknown = getattr(browser, method)(reverse(f"arena:{name}", args=["no-such-study"]))
        assert (answer.status_code, answer.content) == (403, unknown.content)
    assert not Admission.objects.exists()


@pytest.mark.once
@pytest.mark.parametrize("name", ["consent", "instructions", "screening", "qualification"])
def test_every_phase_needs_the_form_token(name: str) -> None:
    study = make_study(rules={"instructions": True})
    browser, _ = joined_browser(study)
    browser.handler.enforce_csrf_checks = True
    assert browser.post(address(name, study)).status_code == 403

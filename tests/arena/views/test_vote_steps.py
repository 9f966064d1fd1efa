"""The vote page beyond plain answers: undo, questions before the prompt, one at a time, images reported."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from arena import studies, voting
from arena.designs import StudyError, checked_rater_rules
from arena.models import Ballot, Criterion, ImageReport, Rater, Study, Vote
from arena.views.voting import REPORTED
from tests.arena.factories import cast, make_rater, make_study
from tests.arena.views.browsers import JSON, answers_to, joined_browser, open_ballot, vote_address

pytestmark = pytest.mark.django_db
FORM_TOKEN = re.compile(r'csrfmiddlewaretoken\\?" value=\\?"[A-Za-z0-9]{64}')  # random letters may spell any short text


def undo_address(study: Study) -> str:
    return reverse("arena:undo", args=[study.slug])


def undone_token(page: str) -> str:
    """What the page's undo button would take back."""
    found = re.search(r'name="undo" value="([0-9a-f]*)"', page)
    return found[1] if found else ""


# --- undo -------------------------------------------------------------------------------------------------------------
def test_without_a_script_undo_is_a_button_that_brings_the_pair_back() -> None:
    study = make_study()
    browser, rater = joined_browser(study)
    assert undone_token(browser.get(vote_address(study)).content.decode()) == ""
    first = open_ballot(browser, study)
    browser.post(vote_address(study), answers_to(first))
    page = browser.get(vote_address(study)).content.decode()
    assert undone_token(page) == first.token
    now = open_ballot(browser, study)
    form = {"ballot": now.token, "undo": first.token}  # the button stands in the form of the ballot in turn
    answer = browser.post(undo_address(study), form, follow=True)
    assert answer.redirect_chain == [(vote_address(study), 302)]
    page = answer.content.decode()
    assert "Undone: here is the pair again." in page and "0 of 12" in page
    again = open_ballot(browser, study)
    assert (again.supersedes, again.left_image_id) == (first, first.left_image_id)
    assert undone_token(page) == ""
    browser.post(vote_address(study), answers_to(again, "right"))
    assert open_ballot(browser, study) == now
    assert set(rater.votes.counted().values_list("choice", flat=True)) == {"right"}


def test_a_script_gets_the_undone_ballot_first() -> None:
    study = make_study()
    browser, rater = joined_browser(study)
    first, second, _ = voting.open_ballots(rater=rater)
    reply = browser.post(vote_address(study), answers_to(first), headers=JSON).json()
    assert reply["undoable"] == first.token
    said = browser.post(undo_address(study), {"undo": first.token, "known": second.token}, headers=JSON).json()
    assert (said["undone"], said["undoable"]) == (True, "")
    assert said["progress"]["answered"] == 0
    new = Ballot.objects.get(supersedes=first)
    assert [ballot["token"] for ballot in said["ballots"]][:2] == [new.token, second.token]
    assert said["ballots"][0]["html"] and not said["ballots"][1]["html"]
    assert new.shown_at is not None
    assert browser.post(undo_address(study), {"undo": first.token}, headers=JSON).json()["undone"] is True
    assert Ballot.objects.filter(supersedes__isnull=False).count() == 1


@pytest.mark.parametrize("headers", [{}, JSON])
def test_what_cannot_be_undone_is_said(headers: dict[str, str]) -> None:
    study = make_study()
    browser, rater = joined_browser(study)
    cast(rater, ballots=2)
    before = rater.ballots.order_by("pk").first()
    assert before
    answer = browser.post(undo_address(study), {"undo": before.token}, headers=headers, follow=True)
    assert "Only the pair that you answered last can be undone." in answer.content.decode()
    assert not Ballot.objects.filter(state=Ballot.State.SUPERSEDED).exists()


@pytest.mark.parametrize("said", ["", "x", "\0", "0" * 4000])
def test_nonsense_undoes_nothing(said: str) -> None:
    study = make_study()
    browser, rater = joined_browser(study)
    cast(rater)
    assert browser.post(undo_address(study), {"undo": said}, headers=JSON).status_code == 400
    assert not Ballot.objects.filter(state=Ballot.State.SUPERSEDED).exists()


def test_nobody_else_can_undo() -> None:
    study = make_study()
    _, rater = joined_browser(study)
    (receipt,) = cast(rater)
    other, _ = joined_browser(study)
    form = {"undo": receipt.ballot_token}
    assert other.post(undo_address(study), form, headers=JSON).status_code == 400
    assert Client().post(undo_address(study), form).status_code == 403
    assert other.get(undo_address(study)).status_code == 405


def test_a_closed_study_is_said() -> None:
    study = make_study()
    browser, rater = joined_browser(study)
    (receipt,) = cast(rater)
    studies.close_study(study, actor=None)
    answer = browser.post(undo_address(study), {"undo": receipt.ballot_token}, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (409, "study_closed")


def test_the_last_answer_can_be_undone_from_the_thanks() -> None:
    study = make_study(ballots_per_rater=1)
    browser, rater = joined_browser(study)
    (receipt,) = cast(rater)
    page = browser.get(reverse("arena:done", args=[study.slug])).content.decode()
    assert undone_token(page) == receipt.ballot_token
    browser.post(undo_address(study), {"undo": receipt.ballot_token})
    assert open_ballot(browser, study).supersedes is not None
    page = browser.get(reverse("arena:done", args=[study.slug])).content.decode()
    assert ">0</dd>" in page and undone_token(page) == ""


# --- questions before the prompt --------------------------------------------------------------------------------------
@pytest.fixture
def blind_study() -> Study:
    """Aesthetics is asked by eye alone, the other questions with the prompt."""
    study = make_study(prompts=2, with_text=2)
    study.criteria.filter(key="aesthetics").update(shows_prompt=False)
    return study


def test_the_prompt_is_not_in_the_page_before_the_first_answers(blind_study: Study) -> None:
    browser, _ = joined_browser(blind_study)
    ballot = open_ballot(browser, blind_study)
    prompt = ballot.study_prompt.prompt
    queue = reverse("arena:vote_queue", args=[blind_study.slug])
    before = browser.get(vote_address(blind_study)).content.decode()
    for page in (before, browser.get(queue).content.decode()):
        told, tokens = FORM_TOKEN.subn("", page)
        assert tokens and "a sign that says" not in told and str(prompt.target_text) not in told
        assert re.findall(r"data-criterion=\\?\"([\w-]+)", page)[:1] == ["aesthetics"]
        assert "prompt-following" not in page
    browser.post(vote_address(blind_study), {"ballot": ballot.token, "step": "first", "answer.aesthetics": "right"})
    assert Vote.objects.count() == 0
    page = browser.get(vote_address(blind_study)).content.decode()
    assert open_ballot(browser, blind_study) == ballot
    assert "a sign that says" in page
    assert re.findall(r'data-kept="([\w-]+)"', page) == ["aesthetics"]
    assert set(re.findall(r'data-criterion="([\w-]+)"', page)) == {"prompt-following", "typography"}


def test_a_first_answer_stands_whatever_is_sent_after(blind_study: Study) -> None:
    browser, rater = joined_browser(blind_study)
    ballot = open_ballot(browser, blind_study)
    first = {"ballot": ballot.token, "step": "first"}
    reply = browser.post(vote_address(blind_study), {**first, "answer.aesthetics": "right"}, headers=JSON).json()
    assert reply["kept"] is True and "a sign that says" in reply["html"]
    again = browser.post(vote_address(blind_study), {**first, "answer.aesthetics": "left"}, headers=JSON).json()
    assert again["kept"] is True
    browser.post(vote_address(blind_study), answers_to(ballot, "left"))
    assert dict(rater.votes.values_list("criterion__key", "choice")) == {
        "aesthetics": "right",
        "prompt-following": "left",
        "typography": "left",
    }


def test_answers_about_a_prompt_that_was_not_shown_are_refused(blind_study: Study) -> None:
    browser, _ = joined_browser(blind_study)
    ballot = open_ballot(browser, blind_study)
    answer = browser.post(vote_address(blind_study), answers_to(ballot), headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (400, "prompt_not_shown")
    incomplete = browser.post(vote_address(blind_study), {"ballot": ballot.token, "step": "first"}, headers=JSON)
    assert incomplete.json()["code"] == "missing_answer"
    assert Vote.objects.count() == 0


def test_the_first_step_can_be_skipped(blind_study: Study) -> None:
    browser, rater = joined_browser(blind_study)
    ballot = open_ballot(browser, blind_study)
    form = {"ballot": ballot.token, "step": "first", "skip": "1", "skip_reason": "cannot_tell"}
    browser.post(vote_address(blind_study), form)
    assert set(rater.votes.values_list("choice", flat=True)) == {"skip"}


def test_first_answers_come_too_late_when_the_study_stopped(blind_study: Study) -> None:
    browser, _ = joined_browser(blind_study)
    ballot = open_ballot(browser, blind_study)
    studies.pause_study(blind_study, actor=None)
    form = {"ballot": ballot.token, "step": "first", "answer.aesthetics": "left"}
    answer = browser.post(vote_address(blind_study), form, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (409, "study_paused")
    ballot.refresh_from_db()
    assert ballot.first_answers is None


def test_a_study_of_looks_alone_never_shows_the_prompt_and_has_one_step() -> None:
    study = make_study(prompts=2, with_text=2)
    study.criteria.update(shows_prompt=False)
    browser, rater = joined_browser(study)
    ballot = open_ballot(browser, study)
    assert "a sign that says" not in browser.get(vote_address(study)).content.decode()
    assert browser.post(vote_address(study), answers_to(ballot), headers=JSON).json()["saved"] is True
    assert rater.votes.count() == 3


# --- one at a time ----------------------------------------------------------------------------------------------------
def test_a_study_may_ask_one_question_at_a_time() -> None:
    study = make_study()
    browser, _ = joined_browser(study)
    assert "one-at-a-time" not in browser.get(vote_address(study)).content.decode()
    Study.objects.filter(pk=study.pk).update(
        rater_rules={"ballots_per_rater": 40, "one_question_at_a_time": True, "instructions": False}
    )
    assert 'class="ballot one-at-a-time"' in browser.get(vote_address(study)).content.decode()


def test_the_rule_about_questions_is_yes_or_no() -> None:
    assert checked_rater_rules({"one_question_at_a_time": True})["one_question_at_a_time"] is True
    with pytest.raises(StudyError) as refused:
        checked_rater_rules({"one_question_at_a_time": "often"})
    assert refused.value.field == "rater_rules"


# --- images reported --------------------------------------------------------------------------------------------------
def reports() -> set[tuple[int, str, int | None]]:
    return set(ImageReport.objects.values_list("image", "kind", "rater"))


def test_a_report_closes_the_ballot_with_its_reason_and_another_pair_comes() -> None:
    assert voting.REPORT_REASONS.keys() == REPORTED.keys()
    study = make_study()
    browser, rater = joined_browser(study)
    for reason, kind in REPORTED.items():
        ballot = open_ballot(browser, study)
        page = browser.get(vote_address(study)).content.decode()
        assert 'name="report" value="1"' in page and f'name="report_reason" value="{reason}"' in page
        form = {"ballot": ballot.token, "report": "1", "report_reason": reason, "bad_side": "right", "step": "first"}
        for _ in range(2):  # a request sent again
            browser.post(vote_address(study), form)
        assert (ballot.right_image_id, kind, rater.pk) in reports()
        assert set(ballot.votes.values_list("choice", "skip_reason")) == {("skip", reason)}
        assert open_ballot(browser, study) != ballot
    assert len(reports()) == 2 and {report.study for report in ImageReport.objects.all()} == {study}


def test_a_report_sent_again_with_another_reason_is_the_first_one_still() -> None:
    study = make_study()
    browser, rater = joined_browser(study)
    ballot = open_ballot(browser, study)
    form = {"ballot": ballot.token, "report": "1", "bad_side": "right"}
    for reason in ("not_shown", "disturbing"):
        browser.post(vote_address(study), {**form, "report_reason": reason})
    assert reports() == {(ballot.right_image_id, "broken", rater.pk)}
    answered = open_ballot(browser, study)
    browser.post(vote_address(study), answers_to(answered))
    browser.post(vote_address(study), {**form, "ballot": answered.token, "report_reason": "disturbing"})
    assert len(reports()) == 1


def test_a_report_needs_no_skip_and_says_what_is_wrong() -> None:
    study = make_study()
    browser, rater = joined_browser(study)
    form = {"ballot": open_ballot(browser, study).token, "report": "1", "skip_reason": "cannot_tell"}
    for said in ({}, {"report_reason": "cannot_tell"}, {"report_reason": "ugly"}):
        answer = browser.post(vote_address(study), {**form, **said}, headers=JSON)
        assert (answer.status_code, answer.json()["code"]) == (400, "missing_report_reason")
    assert not rater.votes.exists() and reports() == set()


def test_a_skip_about_an_image_from_an_older_page_reports_it_too() -> None:
    study = make_study()
    browser, rater = joined_browser(study)
    ballot = open_ballot(browser, study)
    form = {"ballot": ballot.token, "skip": "1", "skip_reason": "disturbing", "bad_side": "right"}
    browser.post(vote_address(study), form)
    assert reports() == {(ballot.right_image_id, "disturbing", rater.pk)}


def test_where_the_rater_does_not_say_which_both_are_reported() -> None:
    study = make_study()
    browser, _ = joined_browser(study)
    ballot = open_ballot(browser, study)
    browser.post(vote_address(study), {"ballot": ballot.token, "report": "1", "report_reason": "not_shown"})
    assert {image for image, _, _ in reports()} == {ballot.left_image_id, ballot.right_image_id}
    assert all("did not say which" in report.reason for report in ImageReport.objects.all())


def test_other_skips_and_answers_report_nothing() -> None:
    study = make_study()
    browser, _ = joined_browser(study)
    ballot = open_ballot(browser, study)
    form = {"ballot": ballot.token, "skip": "1", "skip_reason": "cannot_tell", "bad_side": "left"}
    browser.post(vote_address(study), form)
    browser.post(vote_address(study), {**answers_to(open_ballot(browser, study)), "bad_side": "left"})
    assert reports() == set()


def test_every_option_shows_its_keys() -> None:
    study = make_study()
    Criterion.objects.update(allows_both_bad=True)
    browser, _ = joined_browser(study)
    page = browser.get(vote_address(study)).content.decode()
    keys = re.findall(r'aria-keyshortcuts="([^"]+)"', page)
    assert keys[:4] == ["ArrowLeft 1", "ArrowDown 2", "B 3", "ArrowRight 4"]


def test_a_simulated_rater_can_answer_a_ballot_that_hides_its_prompt(blind_study: Study) -> None:
    rater = make_rater(blind_study, Rater.Kind.SIMULATED)
    assert len(cast(rater, "left")) == 1
    assert rater.votes.count() == 3

"""A rater's own data: all and only theirs to take along, and nothing of them left after erasure."""

import json
import logging
from datetime import timedelta
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.admin.models import ADDITION, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from arena import consent, first_questions, leaderboard, privacy, rater_phases, raters, studies, tasks, voting
from arena.counted_votes import counted_votes
from arena.designs import StudyError, checked_rater_rules
from arena.models import AuditEvent, Ballot, Consent, Exclusion, ImageReport, Invitation, Rater, RaterIdentity, Study
from arena.vote_chain import check_chain
from tests.arena.dumps import dump
from tests.arena.factories import cast, make_study, make_user
from tests.arena.views.browsers import answers_to, open_ballot, vote_address

pytestmark = pytest.mark.django_db

MAIL, PANEL, NAME = "grace.hopper@example.org", "panel-id-8812", "grace-hopper-account"
VISIT, JOB = "visit-of-tuesday-4471", "rear admiral"


def study_with(**rules: object) -> Study:
    study = make_study(contenders=3, prompts=3, opened=False)
    studies.change_draft(study, actor=None, rater_rules={"ballots_per_rater": 40, "instructions": False, **rules})
    return studies.open_study(study, actor=None)


def known_rater(study: Study) -> tuple[Rater, Client]:
    """A rater about whom everything is known that can be, with three answered ballots and an open one."""
    invitation, token = raters.invite(study=study, label=f"for {MAIL}", most_uses=1, created_by=study.owner)
    LogEntry.objects.create(
        user=make_user(),
        content_type=ContentType.objects.get_for_model(Invitation),
        object_id=str(invitation.pk),
        object_repr=str(invitation),
        action_flag=ADDITION,
    )
    browser = Client()
    browser.post(reverse("arena:join", args=[token]))
    rater = Rater.objects.latest("pk")
    account = User.objects.create(username=NAME, email=MAIL)
    RaterIdentity.objects.create(
        rater=rater,
        study=study,
        user=account,
        provider="generic",
        external_id=PANEL,
        captured={"visit": VISIT},
        screening={"job": JOB},
    )
    rater_phases.note_instructions_read(rater)
    for _ in range(3):
        browser.post(vote_address(study), answers_to(open_ballot(browser, study)))
    seen = open_ballot(browser, study)
    assert seen.left_image is not None
    ImageReport.objects.create(
        image=seen.left_image, study=study, act="reported", kind="broken", reason=f"write to {MAIL}", rater=rater
    )
    return rater, browser


def file_names() -> str:
    return "\n".join(str(path) for path in Path(settings.DATA_DIR).rglob("*"))


@pytest.mark.parametrize("policy", ["keep", "exclude"])
def test_after_erasure_nothing_in_database_files_and_logs_names_the_rater(
    policy: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    study = study_with(erased_votes=policy)
    rater, _ = known_rater(study)
    tokens = list(rater.ballots.values_list("token", flat=True))
    needles = [rater.public_id, MAIL, PANEL, NAME, VISIT, JOB, *tokens]
    before = dump()
    assert [needle for needle in needles if needle not in before] == []  # else this test could not fail
    votes = list(rater.votes.values_list("pk", "choice", "chain_hash"))
    caplog.clear()
    erasure = privacy.erase(rater=rater)
    after = dump() + file_names() + caplog.text
    assert [needle for needle in needles if needle in after] == []
    assert list(rater.votes.values_list("pk", "choice", "chain_hash")) == votes
    assert (erasure.votes, erasure.are_excluded) == (len(votes), policy == "exclude")
    assert counted_votes(study).count() == (0 if policy == "exclude" else len(votes))
    assert check_chain(Rater.objects.get(pk=rater.pk)) == []


def test_an_erased_browser_is_nobody_and_the_open_ballot_goes_back() -> None:
    study = study_with()
    rater, browser = known_rater(study)
    privacy.erase(rater=rater)
    assert browser.get(vote_address(study)).status_code == 403
    assert not rater.ballots.filter(state=Ballot.State.OPEN).exists()
    assert not Consent.objects.filter(rater=rater).exists()


def test_other_raters_in_the_same_browser_stay() -> None:
    study, other = study_with(), make_study(slug="other")
    rater, browser = known_rater(study)
    _, token = raters.invite(study=other)
    browser.post(reverse("arena:join", args=[token]))
    privacy.erase(rater=rater)
    assert browser.get(vote_address(other)).status_code == 200


def test_erasing_twice_is_erasing_once() -> None:
    study = study_with(erased_votes="exclude")
    rater, _ = known_rater(study)
    first, second = privacy.erase(rater=rater), privacy.erase(rater=rater)
    assert first == second
    assert Exclusion.objects.count() == 1
    event = AuditEvent.objects.get(act="rater erased")
    assert event.detail == {"rater": rater.pk, "votes": first.votes, "are_excluded": True}


def test_an_account_that_serves_something_else_stays() -> None:
    study = study_with()
    rater, _ = known_rater(study)
    RaterIdentity.objects.filter(rater=rater).update(user=study.owner)
    privacy.erase(rater=rater)
    assert study.owner is not None and User.objects.filter(pk=study.owner.pk).exists()
    assert not RaterIdentity.objects.exists()


def test_a_link_for_several_people_stays_open() -> None:
    study = study_with()
    invitation, _ = raters.invite(study=study, label="forum")
    privacy.erase(rater=raters.join(invitation=invitation, consent_text="yes"))
    invitation.refresh_from_db()
    assert (invitation.label, invitation.revoked_at) == ("forum", None)


def test_own_data_is_all_of_it_and_only_ones_own() -> None:
    study = study_with()
    rater, _ = known_rater(study)
    cast(raters.join(invitation=raters.invite(study=study)[0], consent_text="someone else's"), "right", ballots=4)
    data = json.loads(json.dumps(privacy.own_data(rater)))
    assert data["number"] == rater.public_id
    assert data["identity"] == {
        "account": {"name": NAME, "email": MAIL},
        "panel": "generic",
        "external_id": PANEL,
        "said_by_the_panel": {"visit": VISIT},
        "answers_about_you": {"job": JOB},
    }
    assert data["admission"]["instructions_read_at"] and data["admission"]["qualification_attempts"] == 0
    assert [each["text"] for each in data["consents"]] == [consent.consent_text(study)]
    assert [each["words"] for each in data["reports"]] == [f"write to {MAIL}"]
    ballots = list(rater.ballots.order_by("position"))
    assert [pair["text"] for pair in data["pairs"]] == [ballot.study_prompt.prompt.text for ballot in ballots]
    told = [(each["at"], each["answer"]) for pair in data["pairs"] for each in pair["answers"]]
    stored = rater.votes.order_by("sequence").values_list("cast_at", "choice")
    assert told == [(at.isoformat(), choice) for at, choice in stored]
    assert {answer for _, answer in told} == {"left"}


def test_own_data_hides_a_prompt_as_long_as_its_page_does_and_holds_the_first_answers() -> None:
    study = study_with()
    study.criteria.filter(key="aesthetics").update(shows_prompt=False)
    rater = raters.join(invitation=raters.invite(study=study)[0], consent_text="yes")
    [ballot] = voting.open_ballots(rater=rater, wanted=1)
    assert [(pair["text"], pair["first_answers"]) for pair in privacy.own_data(rater)["pairs"]] == [(None, [])]
    first_questions.keep_first_answers(rater=rater, ballot_token=ballot.token, answers={"aesthetics": "left"})
    [pair] = privacy.own_data(rater)["pairs"]
    question = study.criteria.get(key="aesthetics").question
    assert pair["text"] == ballot.study_prompt.prompt.text and pair["answers"] == []
    assert pair["first_answers"] == [{"question": question, "answer": "left"}]


def test_own_data_unblinds_nobody() -> None:
    study = study_with()
    rater, _ = known_rater(study)
    said = json.dumps(privacy.own_data(rater))
    for contender in study.contenders.select_related("recipe"):
        assert contender.label not in said and contender.recipe.digest not in said
    assert "gold" not in said and "purpose" not in said


def test_every_kind_of_row_that_names_a_rater_has_its_fate() -> None:
    naming = {
        model._meta.label
        for model in apps.get_models()
        for field in model._meta.get_fields()
        if field.is_relation and field.concrete and field.related_model is Rater
    }
    assert naming == set(privacy.ROWS_OF_A_RATER)


def test_retention_erases_the_raters_of_studies_long_ended_and_keeps_their_votes_counted() -> None:
    study = study_with(retention_months=6, erased_votes="exclude")
    rater, _ = known_rater(study)
    studies.close_study(study, actor=None)
    tasks.erase_raters_after_retention()
    assert Rater.objects.get(pk=rater.pk).erased_at is None
    Study.objects.update(closed_at=timezone.now() - timedelta(days=184))
    tasks.erase_raters_after_retention()
    assert Rater.objects.get(pk=rater.pk).erased_at is not None
    assert MAIL not in dump()
    assert counted_votes(study).count() == rater.votes.count()
    assert privacy.erase_after_retention() == 0


def test_the_consent_says_what_becomes_of_the_answers_and_when() -> None:
    kept, left_out = (consent.consent_text(Study(rater_rules={"erased_votes": each})) for each in ("keep", "exclude"))
    assert "stay in the results" in kept and "left out of all results" in left_out
    assert "6 months after the study has ended" in consent.consent_text(Study(rater_rules={"retention_months": 6}))
    assert "no address is kept" in consent.consent_text(Study(rater_rules={"ballots_per_network_and_day": 6}))


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        ({"erased_votes": "burn"}, "bad_erased_votes"),
        ({"retention_months": 0}, "bad_privacy_rule"),
        ({"new_raters_per_network_and_hour": "3"}, "bad_privacy_rule"),
        ({"ballots_per_network_and_day": True}, "bad_privacy_rule"),
    ],
)
def test_an_impossible_rule_is_refused(rules: dict[str, object], code: str) -> None:
    with pytest.raises(StudyError) as refused:
        checked_rater_rules(rules)
    assert (refused.value.code, refused.value.field) == (code, "rater_rules")


def test_results_can_be_shown_after_an_erasure() -> None:
    study = study_with(erased_votes="exclude")
    rater, _ = known_rater(study)
    privacy.erase(rater=rater)
    assert [results.votes for results in leaderboard.results_of(study)] == [0, 0, 0]

"""Contenders withdrawn from an opened study (attack V15): seen, logged, counted, reversible."""

import io

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from arena import fitting, leaderboard, studies, targets, voting
from arena.designs import design_digest
from arena.models import AuditEvent, Ballot, Contender, Study, StudyMember, Vote
from arena.withdrawing import (
    WithdrawalError,
    bring_back_contender,
    contender_changes,
    contender_entries,
    tried_models,
    withdraw_contender,
)
from tests.arena import factories

pytestmark = pytest.mark.django_db


def last_of(study: Study) -> Contender:
    return study.contenders.order_by("-position")[0]


def with_contender(contender: Contender) -> list[Ballot]:
    return [each for each in Ballot.objects.all() if contender.pk in (each.left_contender_id, each.right_contender_id)]


def test_of_twenty_tried_variants_nineteen_withdrawn_ones_stay_in_sight_and_in_the_log() -> None:
    study = factories.make_study(contenders=21, prompts=1, with_text=0, images=False)
    ada = factories.make_user("ada")
    for number, contender in enumerate(study.contenders.filter(position__range=(1, 19))):
        withdraw_contender(contender=contender, reason=f"variant {number} looked weaker", author=ada)
    entries = contender_entries(study)
    assert len(entries) == 21 and sum(entry.withdrawn_at is not None for entry in entries) == 19
    assert sum(model.tried for model in tried_models(entries)) == 21
    assert sum(model.withdrawn for model in tried_models(entries)) == 19
    assert AuditEvent.objects.filter(study=study, act="contender withdrawn", actor=ada).count() == 19
    assert [change.reason for change in contender_changes(study)] == [
        f"variant {number} looked weaker" for number in range(18, -1, -1)
    ]
    browser = Client()
    browser.force_login(ada)
    page = browser.get(reverse("arena:contenders", args=[study.slug])).content.decode()
    assert "21 contenders were tried, 19 of them are withdrawn" in page
    assert page.count("looked weaker") == 38  # beside each contender, and in the log
    assert "and 19 withdrawn" in browser.get(reverse("arena:study", args=[study.slug])).content.decode()
    assert design_digest(study) == study.frozen_digest


def test_a_withdrawn_contender_is_on_no_ballot_and_its_votes_still_count() -> None:
    study = factories.make_study(contenders=3, prompts=4, with_text=0, design={"target_votes": 2})
    gone = last_of(study)
    early, waiting = factories.make_rater(study), factories.make_rater(study)
    factories.cast(early, "left", ballots=20)
    while not [ballot for ballot in voting.open_ballots(rater=waiting) if ballot in with_contender(gone)]:
        factories.cast(waiting, "left")
    held = [ballot for ballot in with_contender(gone) if ballot.state == Ballot.State.OPEN]
    votes, needed = Vote.objects.counted().count(), targets.progress_of(study)[0].still_needed
    withdraw_contender(contender=gone, reason="trained on the prompts", author=None)
    assert {Ballot.objects.get(pk=ballot.pk).state for ballot in held} == {Ballot.State.EXPIRED}
    event = AuditEvent.objects.get(act="contender withdrawn")
    assert event.detail["ballots_taken_back"] == len(held) and event.detail["reason"] == "trained on the prompts"
    asked = held[0].study_prompt.criteria.values_list("key", flat=True)
    with pytest.raises(voting.VotingError, match="withdrawn meanwhile"):
        voting.cast_votes(rater=waiting, ballot_token=held[0].token, answers=dict.fromkeys(asked, "left"))
    assert Vote.objects.counted().count() == votes
    (target, *_) = targets.progress_of(study)
    assert target.pairs == 4 and target.still_needed < needed
    before = len(with_contender(gone))
    factories.cast(waiting, "left", ballots=20)
    factories.cast(factories.make_rater(study), "left", ballots=20)
    assert len(with_contender(gone)) == before and targets.progress_of(study)[0].still_needed == 0
    fitting.refit(study)
    row = next(row for row in leaderboard.results_of(study)[0].rows if row.contender == gone)
    assert row.is_withdrawn and row.votes > 0


def test_what_comes_back_is_shown_and_wanted_again() -> None:
    study = factories.make_study(contenders=3, prompts=2, with_text=0, design={"target_votes": 1})
    gone = last_of(study)
    withdraw_contender(contender=gone, reason="a doubt", author=None)
    factories.cast(factories.make_rater(study), "left", ballots=20)
    assert with_contender(gone) == [] and targets.progress_of(study)[0].still_needed == 0
    bring_back_contender(contender=gone, reason="the doubt is gone", author=None)
    assert targets.progress_of(study)[0].still_needed == 4
    factories.cast(factories.make_rater(study), "left", ballots=20)
    assert len(with_contender(gone)) == 4 and targets.progress_of(study)[0].still_needed == 0
    assert [change.change["act"] for change in contender_changes(study)] == [
        "contender brought back",
        "contender withdrawn",
    ]


def test_what_cannot_be_withdrawn_says_why() -> None:
    study = factories.make_study(contenders=3, prompts=1, images=False, opened=False)
    first, second, third = study.contenders.order_by("position")

    def refusal(contender: Contender, reason: str = "a reason") -> str:
        with pytest.raises(WithdrawalError) as refused:
            withdraw_contender(contender=contender, reason=reason, author=None)
        return refused.value.code

    assert refusal(third) == "study_is_a_draft"
    study = studies.open_study(study, actor=None)
    assert (refusal(third, " "), refusal(third, "x" * 1001)) == ("no_reason", "long_reason")
    withdraw_contender(contender=third, reason="a reason", author=None)
    assert (refusal(third), refusal(second)) == ("withdrawn_already", "too_few_left")
    with pytest.raises(WithdrawalError, match="not withdrawn"):
        bring_back_contender(contender=first, reason="a reason", author=None)
    studies.close_study(study, actor=None)
    assert refusal(first) == "study_closed"


def test_owners_withdraw_on_the_page_and_colleagues_look() -> None:
    study = factories.make_study(contenders=3, prompts=1, images=False)
    gone = last_of(study)
    StudyMember.objects.create(study=study, user=factories.make_user("bob"), role=StudyMember.Role.RATER_MANAGER)
    pages = {name: Client() for name in ("ada", "bob", "eve")}
    for name, browser in pages.items():
        browser.force_login(factories.make_user(name))
    page = reverse("arena:contenders", args=[study.slug])
    act = reverse("arena:withdraw_contender", args=[study.slug, gone.pk])
    form = {"reason": "a reason"}
    for name, seen, decided in (("bob", 200, 403), ("eve", 404, 404)):
        assert pages[name].get(page).status_code == seen and pages[name].post(act, form).status_code == decided
    assert 'name="reason"' not in pages["bob"].get(page).content.decode()
    assert "Say why" in pages["ada"].post(act, {"reason": ""}, follow=True).content.decode()
    assert "is withdrawn: raters meet it no more" in pages["ada"].post(act, form, follow=True).content.decode()
    back = reverse("arena:bring_back_contender", args=["colours", gone.pk])
    assert "is back in the study" in pages["ada"].post(back, form, follow=True).content.decode()


def test_the_command_does_the_same_and_names_what_it_does_not_find() -> None:
    study = factories.make_study(contenders=3, prompts=1, images=False)
    label = last_of(study).label
    out = io.StringIO()
    call_command("withdraw_contender", "colours", label, "--reason", "a doubt", stdout=out)
    assert last_of(study).withdrawn_at is not None
    call_command("withdraw_contender", "colours", label, "--reason", "gone", "--back", stdout=out)
    assert out.getvalue() == f"{label} is withdrawn.\n{label} is back in the study.\n"
    for words, arguments in (("no study 'x'", ("x", label)), ("no contender 'y'", ("colours", "y"))):
        with pytest.raises(CommandError, match=words):
            call_command("withdraw_contender", *arguments, "--reason", "z")

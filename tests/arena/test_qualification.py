"""Qualification pairs that come from a study's reviewed known answers, and what is left when contenders go."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from arena import admission, gold, voting
from arena.admission import AdmissionError, Phase, gate
from arena.models import Ballot, BallotCheck, Gold, Rater, Study
from arena.qualification import lacking_pairs, standing_of
from arena.special_ballots import check_counts
from arena.withdrawing import WithdrawalError, withdraw_contender
from tests.arena import factories
from tests.arena.views.browsers import joined_browser

pytestmark = pytest.mark.django_db

TASK = {"prompt": 1, "left": "colours-0, 1 steps", "right": "colours-0, 2 steps", "answers": {"aesthetics": "left"}}


def make_study(**qualification: Any) -> Study:
    return factories.make_study(contenders=3, prompts=4, with_text=0, rules={"qualification": qualification})


def make_gold(study: Study, prompt: int, *, reviewed: bool = True) -> Gold:
    first, second = study.contenders.order_by("position")[1:3]
    made = gold.propose(
        study=study,
        study_prompt=study.study_prompts.get(position=prompt),
        first=first,
        second=second,
        answers={"aesthetics": "first"},
        proposer=study.owner,
    )
    return gold.review(made, reviewer=factories.make_user("grace")) if reviewed else made


def attempt(rater: Rater, *, rightly: bool) -> list[Ballot]:
    """Answer one whole attempt; the lower contender is always the right answer."""
    admission.begin_attempt(rater)

    def choice(ballot: Ballot, _: Any) -> str:
        is_left = ballot.left_contender.position < ballot.right_contender.position
        return "left" if is_left == rightly else "right"

    before = rater.ballots.count()
    standing = standing_of(rater)
    assert standing is not None
    factories.cast(rater, choice, ballots=standing.rule.ballots)
    return list(rater.ballots.order_by("position")[before:][: standing.rule.ballots])


def test_reviewed_known_answers_are_the_pairs_of_a_qualification() -> None:
    study = make_study(gold=True, ballots=2)
    rater = factories.make_rater(study)
    golds = {make_gold(study, 0).pk}
    make_gold(study, 1, reviewed=False)
    gold.retire(make_gold(study, 2), actor=None)
    assert lacking_pairs(study) == 1 and gate(rater) == Phase.BRIEFING
    with pytest.raises(AdmissionError, match="not ready yet"):
        admission.begin_attempt(rater)
    golds.add(make_gold(study, 3).pk)
    shown = attempt(rater, rightly=False)
    assert set(BallotCheck.objects.values_list("gold", flat=True)) == golds
    assert {ballot.purpose for ballot in shown} == {Ballot.Purpose.QUALIFICATION}
    assert gate(rater) == Phase.BRIEFING
    attempt(rater, rightly=True)
    standing = standing_of(rater)
    assert standing is not None and standing.right_by_attempt == (0, 2) and gate(rater) == Phase.BALLOTS
    assert check_counts(study) == {}  # practice does not speak for or against the rater afterwards


def test_tasks_and_known_answers_add_up() -> None:
    study = make_study(tasks=[TASK], gold=True, ballots=2)
    make_gold(study, 1)
    rater = factories.make_rater(study)
    kinds = {BallotCheck.objects.filter(ballot=ballot).exists() for ballot in attempt(rater, rightly=True)}
    assert kinds == {True, False} and gate(rater) == Phase.BALLOTS


def test_raters_and_owners_are_told_that_pairs_are_lacking() -> None:
    study = make_study(gold=True, ballots=1)
    browser, _ = joined_browser(study)
    owner = Client()
    owner.force_login(factories.make_user("ada"))
    page, list_of_gold = (reverse(name, args=[study.slug]) for name in ("arena:qualification", "arena:gold"))
    assert "not ready yet" in browser.post(page).content.decode()
    assert "1 more known answer must be reviewed first" in owner.get(list_of_gold).content.decode()
    make_gold(study, 0)
    assert "Begin" in browser.get(page).content.decode()
    assert "draws its 1 pairs from them" in owner.get(list_of_gold).content.decode()


def test_an_attempt_goes_on_with_what_is_left_when_a_contender_is_withdrawn() -> None:
    other = {**TASK, "left": "colours-0, 2 steps", "right": "colours-0, 4 steps"}
    study = make_study(tasks=[TASK, other, {**other, "prompt": 2}], ballots=3)
    withdraw_contender(contender=study.contenders.get(position=0), reason="a doubt", author=None)
    rater = factories.make_rater(study)
    shown = attempt(rater, rightly=True)
    assert len(shown) == 3 and gate(rater) == Phase.BALLOTS
    assert len({ballot.study_prompt_id for ballot in shown}) == 2 and voting.open_ballots(rater=rater)


def test_a_contender_that_every_task_shows_stays() -> None:
    study = make_study(tasks=[TASK])
    with pytest.raises(WithdrawalError) as refused:
        withdraw_contender(contender=study.contenders.get(position=1), reason="a doubt", author=None)
    assert refused.value.code == "qualification_needs_it"

"""The phase rules of a study: defaults, and every wrong entry refused by its name."""

from typing import Any

import pytest

from arena import studies
from arena.designs import StudyError, checked_design, checked_rater_rules, design_digest
from arena.models import Study
from arena.phase_rules import PhaseRules, Qualification, rules_of
from tests.arena.factories import make_study

TASK = {"prompt": 1, "left": "a", "right": "b", "answers": {"look": "left"}}
EXAMPLE = {"criterion": "look", "prompt": 1, "left": "a", "right": "b", "answer": "left", "why": "so"}
QUESTION = {"key": "k", "question": "q?", "choices": ["yes", "no"], "allowed": ["yes"]}


def test_what_is_left_out_takes_its_default_and_only_instructions_are_written_into_the_rules() -> None:
    assert rules_of(Study(rater_rules={})) == PhaseRules()
    assert checked_rater_rules({"ballots_per_rater": 5}) == {"ballots_per_rater": 5, "instructions": True}
    assert (PhaseRules().has_instructions, PhaseRules().again_after_hours) == (False, 24)


@pytest.mark.django_db
def test_an_older_open_study_goes_on_without_instructions_and_an_older_draft_opens_with_them() -> None:
    opened = make_study(images=False, copies=False)
    Study.objects.filter(pk=opened.pk).update(rater_rules={"ballots_per_rater": 40})  # as before there was the entry
    opened.refresh_from_db()
    assert not rules_of(opened).has_instructions
    draft = make_study(slug="draft", images=False, copies=False, opened=False)
    Study.objects.filter(pk=draft.pk).update(rater_rules={"ballots_per_rater": 40})
    assert rules_of(studies.open_study(draft, actor=None)).has_instructions
    draft.refresh_from_db()
    assert rules_of(draft).has_instructions and design_digest(draft) == draft.frozen_digest


def test_the_bar_of_a_qualification_is_75_percent_of_ten_in_two_attempts() -> None:
    rule = rules_of(Study(rater_rules={"qualification": {"tasks": [TASK] * 12}})).qualification
    assert rule is not None and (rule.ballots, rule.bar, rule.attempts, rule.needed) == (10, 0.75, 2, 8)
    assert [Qualification(tasks=(), ballots=4, bar=bar).needed for bar in (0.25, 0.5, 0.75, 0.76, 1.0)] == [
        1,
        2,
        3,
        4,
        4,
    ]


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"instructions": "yes"}, "“instructions” must be true or false"),
        ({"requires_login": 1}, "“requires_login” must be true or false"),
        ({"instructions_again_after_hours": 0}, "“instructions_again_after_hours” must be"),
        ({"examples": {}}, "“examples” must be a list"),
        ({"examples": [{**EXAMPLE, "why": " "}]}, "Entry 1 of “examples”: “why” must be a text"),
        ({"examples": [EXAMPLE, {**EXAMPLE, "answer": "both"}]}, "Entry 2 of “examples”: an answer must be one of"),
        ({"examples": [{**EXAMPLE, "right": "a"}]}, "puts 'a' beside itself"),
        ({"examples": [{**EXAMPLE, "prompt": 0}]}, "“prompt” must be a whole number"),
        ({"examples": [{**EXAMPLE, "more": 1}]}, "unknown entry 'more'"),
        ({"screening": [{**QUESTION, "choices": ["yes"]}]}, "“choices” must be a list of at least two"),
        ({"screening": [{**QUESTION, "allowed": ["maybe"]}]}, "“allowed” must name at least one of its choices"),
        ({"screening": [QUESTION, QUESTION]}, "have the key 'k'"),
        ({"qualification": []}, "“qualification” must be an object"),
        ({"qualification": {"tasks": [TASK], "ballots": 2}}, "asks 2 pairs but names 1"),
        ({"qualification": {"tasks": [TASK], "bar": 75}}, "“qualification.bar” must be a share"),
        ({"qualification": {"tasks": [TASK], "attempts": 6}}, "“qualification.attempts” must be"),
        ({"qualification": {"tasks": [{**TASK, "answers": {}}]}}, "“answers” must map at least one criterion"),
    ],
)
def test_a_wrong_entry_is_named(rules: dict[str, Any], words: str) -> None:
    with pytest.raises(StudyError) as refused:
        checked_rater_rules(rules)
    assert words in refused.value.sentence and refused.value.field == "rater_rules"


def test_whether_anonymous_votes_count_is_yes_or_no() -> None:
    assert checked_design({"counts_anonymous": True})["counts_anonymous"] is True
    with pytest.raises(StudyError) as refused:
        checked_design({"counts_anonymous": "sometimes"})
    assert refused.value.code == "bad_switch"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"prompt": 9}, "unknown_prompt"),
        ({"left": "nobody"}, "unknown_contender"),
        ({"answers": {"smell": "left"}}, "unknown_criterion"),
        ({"answers": {"aesthetics": "both_bad"}}, "unknown_answer"),
        ({"answers": {"typography": "left"}}, "not_asked"),
    ],
)
def test_a_study_opens_only_with_tasks_that_it_can_show(change: dict[str, Any], code: str) -> None:
    task = {"prompt": 2, "left": "colours-0, 1 steps", "right": "colours-0, 2 steps", "answers": {"aesthetics": "left"}}
    study = make_study(
        opened=False, images=False, copies=False, rules={"qualification": {"tasks": [{**task, **change}]}}
    )
    with pytest.raises(StudyError) as refused:
        studies.open_study(study, actor=None)
    assert (refused.value.code, refused.value.field) == (code, "rater_rules")
    study.refresh_from_db()
    assert study.state == Study.State.DRAFT

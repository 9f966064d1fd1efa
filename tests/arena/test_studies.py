"""A study's life: what it may be made of, what freezes when it opens, and what every act leaves behind."""

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from arena import studies
from arena.criteria import PRESETS
from arena.designs import StudyError, design_digest
from arena.display import DisplayError
from arena.intake import take_in_images
from arena.models import Criterion, Study
from arena.refusals import Refusal
from arena.studies import ContenderSpec, Readiness, create_study, open_study, readiness
from generation.errors import GenerationError
from generation.models import Checkpoint, Image, Recipe
from tests.arena import factories

pytestmark = pytest.mark.django_db

SD3_QUESTIONS = {
    "prompt-following": "Which image looks more representative to the text shown above and faithfully follows it?",
    "aesthetics": "Given the prompt, which image is of higher-quality and aesthetically more pleasing?",
    "typography": (
        "Which image more accurately shows/displays the text specified in the above description? "
        "More accurate spelling is preferred! Ignore other aspects."
    ),
}


def parts(**changed: Any) -> dict[str, Any]:
    """Everything a good study is made of, with changes."""
    recipes = [factories.make_recipe(name) for name in ("one", "two")]
    return {
        "slug": "new",
        "name": "New",
        "owner": factories.make_user(),
        "prompts": factories.make_prompts(2),
        "contenders": [ContenderSpec(label=recipe.name, recipe=recipe) for recipe in recipes],
        "criteria": PRESETS["sd3"],
        **changed,
    }


def test_the_sd3_preset_asks_the_published_questions_and_allows_ties() -> None:
    study = create_study(**parts())
    assert dict(study.criteria.values_list("key", "question")) == SD3_QUESTIONS
    assert list(study.criteria.values_list("allows_tie", "applies_to")) == [
        (True, "all"),
        (True, "all"),
        (True, "has_text"),
    ]


def test_the_house_protocol_differs_only_in_its_ties() -> None:
    assert [(spec.key, spec.question, spec.allows_tie) for spec in PRESETS["sd3_house"]] == [
        (spec.key, spec.question, False) for spec in PRESETS["sd3"]
    ]


def test_typography_is_asked_where_there_is_text_to_render() -> None:
    study = factories.make_study(prompts=4, with_text=1, images=False)
    asked = [sorted(row.criteria.values_list("key", flat=True)) for row in study.study_prompts.order_by("position")]
    assert asked == [["aesthetics", "prompt-following", "typography"]] + [["aesthetics", "prompt-following"]] * 3


def test_a_criterion_for_categories_is_asked_in_those_only() -> None:
    study = factories.make_study(prompts=3, with_text=1, images=False, opened=False)
    Criterion.objects.filter(study=study, key="aesthetics").update(applies_to="categories", categories=["surfaces"])
    study = open_study(study, actor=None)
    asked = study.criteria.get(key="aesthetics").study_prompts.values_list("prompt__category", flat=True)
    assert list(asked) == ["surfaces", "surfaces"]


# --- what is refused --------------------------------------------------------------------------------------------------
def _same_prompt_twice() -> dict[str, Any]:
    prompts = factories.make_prompts(2)
    return {"prompts": [*prompts, prompts[0]]}


def _same_recipe_twice() -> dict[str, Any]:
    recipe = factories.make_recipe("same")
    return {"contenders": [ContenderSpec(label="a", recipe=recipe), ContenderSpec(label="b", recipe=recipe)]}


def _contenders(*labels: str, baselines: int = 0) -> Callable[[], dict[str, Any]]:
    return lambda: {
        "contenders": [
            ContenderSpec(label=label, recipe=factories.make_recipe(f"r{place}"), is_baseline=place < baselines)
            for place, label in enumerate(labels)
        ]
    }


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        (lambda: {"prompts": []}, "no_prompts", "prompts"),
        (lambda: {"criteria": []}, "no_criteria", "criteria"),
        (lambda: {"criteria": PRESETS["sd3"] * 2}, "twice", "criteria"),
        (_contenders("only"), "too_few_contenders", "contenders"),
        (_contenders("a", "a"), "twice", "contenders"),
        (_contenders("a", "b", baselines=2), "two_baselines", "contenders"),
        (_same_prompt_twice, "twice", "prompts"),
        (_same_recipe_twice, "twice", "contenders"),
        (lambda: {"design": {"pair_rule": "favourites"}}, "unknown_pair_rule", "design"),
        (lambda: {"design": {"pair_rule": ["uniform"]}}, "unknown_pair_rule", "design"),
        (lambda: {"design": {"target_votes": 0}}, "bad_target", "design"),
        (lambda: {"design": {"target_votes": "3"}}, "bad_target", "design"),
        (lambda: {"design": {"target_votes": 10_001}}, "bad_target", "design"),
        (lambda: {"design": {"counts_rule_ties": "no"}}, "bad_switch", "design"),
        (lambda: {"design": {"counts_anonymous": 1}}, "bad_switch", "design"),
        (lambda: {"design": {"samples": 0}}, "bad_samples", "design"),
        (lambda: {"design": {"samples": True}}, "bad_samples", "design"),
        (lambda: {"design": {"sample": 1}}, "unknown_design_entry", "design"),
        (lambda: {"rater_rules": {"ballots_per_rater": -1}}, "bad_quota", "rater_rules"),
        (lambda: {"rater_rules": {"ballots": 5}}, "unknown_rule", "rater_rules"),
        (lambda: {"display_rule": {"width": 10**6, "height": 64}}, "bad_display_size", "display_rule"),
    ],
)
def test_a_study_of_wrong_parts_is_refused_and_leaves_nothing(
    change: Callable[[], dict[str, Any]], code: str, field: str
) -> None:
    with pytest.raises(Refusal) as refused:
        create_study(**parts(**change()))
    assert (refused.value.code, refused.value.field) == (code, field)
    assert not Study.objects.exists()


def test_a_short_name_is_taken_once() -> None:
    one = parts()
    create_study(**one)
    with pytest.raises(StudyError, match="'new' already"):
        create_study(**one)


def test_a_study_that_asks_nothing_cannot_open() -> None:
    study = factories.make_study(prompts=2, with_text=0, images=False, opened=False)
    study.criteria.exclude(key="typography").delete()
    with pytest.raises(StudyError) as refused:
        open_study(study, actor=None)
    study.refresh_from_db()
    assert (refused.value.code, study.state, study.frozen_digest) == ("nothing_to_ask", "draft", "")
    assert not study.audit_events.filter(act="study opened").exists()


def test_a_study_with_a_refused_recipe_cannot_open() -> None:
    study = factories.make_study(images=False, opened=False)
    Recipe.objects.filter(pk=study.contenders.earliest("position").recipe_id).update(
        state="refused", refusal="no such file"
    )
    with pytest.raises(StudyError, match="no such file"):
        open_study(study, actor=None)


# --- freezing ---------------------------------------------------------------------------------------------------------
def test_opening_freezes_and_hashes_the_design_while_images_are_missing() -> None:
    study = factories.make_study(images=False, opened=False)
    study = open_study(study, actor=study.owner)
    assert study.state == Study.State.OPEN and study.opened_at is not None
    assert len(study.frozen_digest) == 64 and study.frozen_digest == design_digest(study)
    event = study.audit_events.get(act="study opened")
    assert (event.actor, event.detail) == (study.owner, {"frozen_digest": study.frozen_digest, "prompts_asked": 4})


def test_the_digest_says_nothing_of_row_ids_but_notices_every_change() -> None:
    one = factories.make_study(slug="one", images=False)
    Study.objects.filter(pk=one.pk).update(slug="other", name="Other")
    one.refresh_from_db()
    assert design_digest(one) == one.frozen_digest
    digests = {one.frozen_digest}
    one.criteria.filter(key="aesthetics").update(question="Which do you like?")
    digests.add(design_digest(one))
    one.contenders.filter(position=0).update(is_baseline=False)
    digests.add(design_digest(one))
    one.study_prompts.get(position=0).criteria.clear()
    digests.add(design_digest(one))
    assert len(digests) == 4


def test_a_draft_can_be_changed_and_an_opened_study_cannot() -> None:
    study = factories.make_study(images=False, opened=False)
    changed = studies.change_draft(
        study, actor=study.owner, design={"samples": 2}, rater_rules={"ballots_per_rater": None}
    )
    assert changed.design == {"pair_rule": "balanced", "samples": 2}
    assert changed.rater_rules == {"ballots_per_rater": None, "instructions": True}
    assert study.audit_events.get(act="draft changed").detail == {
        "design": {"samples": 2},
        "rater_rules": {"ballots_per_rater": None},
    }
    opened = open_study(changed, actor=study.owner)
    with pytest.raises(StudyError) as refused:
        studies.change_draft(opened, actor=study.owner, design={"samples": 3})
    opened.refresh_from_db()
    assert refused.value.code == "study_frozen" and opened.design["samples"] == 2


def test_a_bad_change_of_a_draft_is_refused() -> None:
    study = factories.make_study(images=False, opened=False)
    with pytest.raises(DisplayError):
        studies.change_draft(study, actor=None, design={"samples": 2}, display_rule={})
    study.refresh_from_db()
    assert study.design["samples"] == 1


def test_every_step_of_its_life_is_logged_with_its_actor() -> None:
    study = factories.make_study(images=False)
    grace = factories.make_user("grace")
    studies.pause_study(study, actor=grace)
    studies.resume_study(study, actor=grace)
    closed = studies.close_study(study, actor=grace)
    assert closed.state == Study.State.CLOSED and closed.closed_at is not None
    told = [(event.act, str(event.actor)) for event in study.audit_events.order_by("id")]
    assert told == [
        ("study created", "ada"),
        ("study opened", "ada"),
        ("study paused", "grace"),
        ("study resumed", "grace"),
        ("study closed", "grace"),
    ]


@pytest.mark.once
@pytest.mark.parametrize(
    ("state", "act"),
    [
        ("draft", studies.pause_study),
        ("draft", studies.close_study),
        ("open", studies.open_study),
        ("open", studies.resume_study),
        ("paused", studies.open_study),
        ("paused", studies.pause_study),
        ("closed", studies.open_study),
        ("closed", studies.resume_study),
        ("closed", studies.close_study),
    ],
)
def test_steps_out_of_order_are_refused(state: str, act: Callable[..., Study]) -> None:
    study = factories.make_study(images=False)
    Study.objects.filter(pk=study.pk).update(state=state)
    before = study.audit_events.count()
    with pytest.raises(StudyError) as refused:
        act(study, actor=None)
    study.refresh_from_db()
    assert (refused.value.code, study.state, study.audit_events.count()) == ("wrong_state", state, before)


# --- readiness --------------------------------------------------------------------------------------------------------
def test_readiness_counts_what_is_wanted_made_and_showable() -> None:
    study = factories.make_study(contenders=3, prompts=4, copies=False)
    assert readiness(study) == Readiness(wanted=12, made=12, showable=0, quarantined=0)
    take_in_images(study=study)
    Image.objects.filter(pk=Image.objects.earliest("pk").pk).update(is_quarantined=True, quarantine_reason="disturbing")
    now = readiness(study)
    assert now == Readiness(wanted=12, made=12, showable=11, quarantined=1) and now.is_complete


def test_withdrawn_contenders_and_unasked_prompts_want_no_images() -> None:
    study = factories.make_study(contenders=3, prompts=4, with_text=1, images=False, opened=False)
    study.criteria.exclude(key="typography").delete()
    assert readiness(study).wanted == 12
    study = open_study(study, actor=None)
    assert readiness(study).wanted == 3
    study.contenders.filter(position=2).update(withdrawn_at=timezone.now())
    assert readiness(study).wanted == 2


def test_asking_for_images_twice_asks_once() -> None:
    study = factories.make_study(contenders=2, prompts=3, images=False)
    run = studies.ask_for_images(study)
    again = studies.ask_for_images(Study.objects.get(pk=study.pk))
    assert run == again and run.jobs.count() == 6


def test_a_cancelled_run_is_replaced() -> None:
    study = factories.make_study(contenders=2, prompts=3, images=False)
    first = studies.ask_for_images(study)
    type(first).objects.filter(pk=first.pk).update(cancelled_at=timezone.now())
    second = studies.ask_for_images(Study.objects.get(pk=study.pk))
    assert second != first and Study.objects.get(pk=study.pk).run == second


def test_a_study_whose_checkpoints_are_all_refused_says_so_instead_of_waiting() -> None:
    study = factories.make_study(images=False)
    Checkpoint.objects.update(state=Checkpoint.State.REFUSED, refusal="Its weights did not come along.")
    with pytest.raises(GenerationError, match="can be made here: Its weights did not come along"):
        studies.ask_for_images(study)
    assert study.run is None

"""Recipes: one row for equal settings, resolved against the real checkpoint or refused with a sentence."""

import re
from pathlib import Path
from typing import Any

import pytest

from generation.checkpoints import register_checkpoint, resolve_checkpoint
from generation.errors import GenerationError
from generation.models import Checkpoint, Recipe, Schedule
from generation.recipes import get_recipe, has_drafts, resolve_recipe, unresolved_recipes
from generation.schedules import few_step_sigmas, get_schedule

pytestmark = pytest.mark.django_db


@pytest.fixture
def checkpoint(models_root: Path) -> Checkpoint:
    """The tiny model, ready."""
    return resolve_checkpoint(register_checkpoint(name="tiny", source="tiny"))


def recipe_of(checkpoint: Checkpoint, schedule: Schedule, **changes: Any) -> Recipe:
    settings: dict[str, Any] = {"name": "r", "guidance": 3.0, "width": 64, "height": 64} | changes
    return get_recipe(checkpoint=checkpoint, schedule=schedule, **settings)


def resolved(checkpoint: Checkpoint, schedule: Schedule, **changes: Any) -> Recipe:
    resolve_recipe(recipe_of(checkpoint, schedule, **changes))
    return Recipe.objects.latest("id")


def test_one_and_two_steps_resolve_to_different_sigmas(checkpoint: Checkpoint) -> None:
    one, two = (resolved(checkpoint, get_schedule(steps=n, shift=1.0, sigmas=few_step_sigmas(n))) for n in (1, 2))
    assert (one.state, one.resolved_sigmas, one.resolved_timesteps, one.evaluations) == ("ready", [1, 0], [1000], 1)
    assert (two.state, two.resolved_sigmas, two.resolved_timesteps, two.evaluations) == (
        "ready",
        [1, 0.5, 0],
        [1000, 500],
        2,
    )


def test_shift_moves_explicit_sigmas_once(checkpoint: Checkpoint) -> None:
    recipe = resolved(checkpoint, get_schedule(steps=4, shift=3.0, sigmas=few_step_sigmas(4)))
    assert recipe.resolved_sigmas == pytest.approx([1, 0.9, 0.75, 0.5, 0])


def test_the_schedulers_own_sigmas_show_the_shift_applied_twice(checkpoint: Checkpoint) -> None:
    # A behaviour of FlowMatchEuler: the reason to store what was resolved and not what was asked for.
    recipe = resolved(checkpoint, get_schedule(steps=4, shift=3.0))
    assert recipe.resolved_sigmas == pytest.approx([1, 0.858, 0.602, 0.0089, 0], abs=1e-3)


def test_evaluations_are_counted_not_assumed(checkpoint: Checkpoint) -> None:
    schedule = get_schedule(steps=4, scheduler_class="FlowMatchHeunDiscreteScheduler")
    assert resolved(checkpoint, schedule).evaluations == 7


def test_dynamic_shift_follows_the_size(checkpoint: Checkpoint) -> None:
    schedule = get_schedule(steps=4, sigmas=few_step_sigmas(4), options={"use_dynamic_shifting": True})
    small, large = (resolved(checkpoint, schedule, width=side, height=side) for side in (64, 128))
    assert small.state == large.state == "ready"
    assert small.resolved_sigmas != large.resolved_sigmas


def test_equal_settings_are_one_recipe(checkpoint: Checkpoint) -> None:
    schedule = get_schedule(steps=2)
    first = recipe_of(checkpoint, schedule, guidance=3)
    assert recipe_of(checkpoint, schedule, guidance=3.0, name="other name", notes="x") == first
    changes: list[dict[str, Any]] = [
        {"guidance": 4},
        {"width": 32},
        {"dtype": "bfloat16"},
        {"negative_prompt": "blurry"},
        {"call_options": {"max_sequence_length": 1}},
    ]
    others = [recipe_of(checkpoint, schedule, **change) for change in changes]
    others.append(recipe_of(register_checkpoint(name="copy", source="tiny"), schedule))
    others.append(recipe_of(checkpoint, get_schedule(steps=3)))
    assert len({recipe.digest for recipe in [first, *others]}) == 8
    assert Recipe.objects.get(pk=first.pk).name == "r"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"guidance": float("nan")}, "guidance must be a number between 0 and 100"),
        ({"width": 0}, "width must lie between 8 and 8192 pixels, not 0"),
        ({"height": 10**6}, "height must lie between"),
        ({"dtype": "int8"}, "dtype must be one of float32, bfloat16, float16, not 'int8'"),
        ({"batch_mode": "loose"}, "batch_mode must be 'fast' or 'strict', not 'loose'"),
    ],
)
def test_wrong_settings_are_refused_at_once(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(GenerationError, match=sentence):
        recipe_of(register_checkpoint(name="tiny", source="tiny"), get_schedule(steps=1), **changes)


@pytest.mark.once
@pytest.mark.parametrize(
    ("schedule", "changes", "sentence"),
    [
        ({"steps": 2}, {"width": 60}, "multiples of 8 up to 128 pixels; width 60 is not"),
        ({"steps": 2}, {"height": 256}, "multiples of 8 up to 128 pixels; height 256 is not"),
        ({"steps": 2}, {"call_options": {"latents": [0]}}, "no call option 'latents' here; options: clip_skip"),
        ({"steps": 2, "scheduler_class": "DDIMScheduler"}, {}, "predicts a flow, and DDIMScheduler as configured here"),
        ({"steps": 2, "scheduler_class": "EulerDiscreteScheduler"}, {}, "needs the network's input scaled, and Stable"),
        ({"steps": 1, "sigmas": [1.0], "options": {"shift_terminal": 0.1}}, {}, "sigmas that are not finite numbers"),
    ],
)
def test_what_the_checkpoint_cannot_do_is_refused_by_the_worker(
    schedule: dict[str, Any], changes: dict[str, Any], sentence: str, checkpoint: Checkpoint
) -> None:
    recipe = resolved(checkpoint, get_schedule(**schedule), **changes)
    assert recipe.state == "refused"
    assert re.search(sentence, recipe.refusal), recipe.refusal


def test_a_recipe_waits_for_its_checkpoint(models_root: Path) -> None:
    draft = register_checkpoint(name="tiny", source="tiny")
    recipe = recipe_of(draft, get_schedule(steps=1))
    assert (unresolved_recipes(), has_drafts()) == ([], True)
    assert resolve_recipe(recipe).state == "checking"
    resolve_checkpoint(draft)
    assert (unresolved_recipes(), has_drafts()) == ([recipe], True)
    resolve_recipe(unresolved_recipes()[0])
    assert (unresolved_recipes(), has_drafts()) == ([], False)


def test_a_refused_recipe_is_looked_at_again_when_asked_for_again(checkpoint: Checkpoint) -> None:
    recipe = resolved(checkpoint, get_schedule(steps=1), width=60)
    assert recipe.state == "refused"
    again = recipe_of(checkpoint, get_schedule(steps=1), width=60)
    assert (again.pk, again.state, again.refusal) == (recipe.pk, "checking", "")

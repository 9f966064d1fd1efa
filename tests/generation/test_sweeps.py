"""Sweeps: every combination once, with the checkpoint's own scheduler unless another is asked for."""

from pathlib import Path
from typing import Any

import pytest

from generation.checkpoints import register_checkpoint, resolve_checkpoint
from generation.errors import GenerationError
from generation.models import Checkpoint, Recipe
from generation.recipes import resolve_recipe
from generation.schedules import few_step_sigmas, get_schedule
from generation.sweeps import Axes, Sampler, Sweep, own_scheduler, sweep, usual_grid

pytestmark = pytest.mark.django_db
STEPS = (1, 2, 4, 8, 16, 28, 50)
SHIFTS = (1.0, 1.5, 3.0, 6.0)


def checkpoint_of(source: str) -> Checkpoint:
    return resolve_checkpoint(register_checkpoint(name=source, source=source))


def swept(checkpoint: Checkpoint, axes: Axes, **sampler: Any) -> Sweep:
    return sweep(checkpoint=checkpoint, axes=axes, sampler=Sampler(width=16, height=16, **sampler))


def test_steps_by_shifts_become_recipes_none_of_which_draws_the_same(families_root: Path) -> None:
    checkpoint = checkpoint_of("sd3-t5")
    made = swept(checkpoint, Axes(steps=(*STEPS, 4), shifts=SHIFTS))
    assert (made.combinations, len(made.recipes), Recipe.objects.count()) == (28, 25, 25)
    resolved = [tuple(resolve_recipe(recipe).resolved_sigmas or ()) for recipe in made.recipes]
    assert len(set(resolved)) == 25
    [three] = [recipe for recipe in made.recipes if recipe.name == "sd3-t5, 2 steps, shift 3"]
    assert three.resolved_sigmas == [1, 0.75, 0]
    assert swept(checkpoint, Axes(steps=STEPS, shifts=SHIFTS)).recipes == made.recipes
    assert Recipe.objects.count() == 25


def test_guidance_is_an_axis_too(families_root: Path) -> None:
    made = swept(checkpoint_of("sd3-t5"), Axes(steps=[1], shifts=[1.0, 3.0], guidances=[1, 4]))
    assert [recipe.name for recipe in made.recipes] == [
        "sd3-t5, 1 step, shift 1, guidance 1",
        "sd3-t5, 1 step, shift 1, guidance 4",
    ]


def test_the_checkpoints_own_scheduler_and_grid_are_taken(families_root: Path) -> None:
    for source, scheduler_class in (("sd3-v", "DDIMScheduler"), ("sd15", "PNDMScheduler")):
        checkpoint = checkpoint_of(source)
        assert own_scheduler(checkpoint) == scheduler_class
        [recipe] = swept(checkpoint, Axes(steps=[3])).recipes
        assert recipe.schedule is not None and recipe.schedule.scheduler_class == scheduler_class
        assert (resolve_recipe(recipe).state, recipe.schedule.sigmas) == ("ready", None)
    assert (usual_grid("FlowMatchEulerDiscreteScheduler"), usual_grid("UniPCMultistepScheduler")) == ("sd3", "own")


def test_scheduler_options_and_missing_encoders_stand_in_the_name(families_root: Path) -> None:
    made = swept(
        checkpoint_of("sd3-t5"),
        Axes(steps=[4], shifts=[2.0]),
        scheduler_class="DPMSolverMultistepScheduler",
        options={"solver_order": 3},
        without=["text_encoder_3"],
    )
    [recipe] = made.recipes
    assert recipe.name == ("sd3-t5, 4 steps, shift 2, DPMSolverMultistep, solver_order 3, without text_encoder_3")
    assert resolve_recipe(recipe).state == "ready"


def test_the_sd3_grid_is_a_name_for_its_sigmas() -> None:
    named = get_schedule(steps=4, shift=3.0, grid="sd3")
    assert named == get_schedule(steps=4, shift=3.0, sigmas=few_step_sigmas(4))
    assert str(named) == "FlowMatchEulerDiscreteScheduler, 4 steps, shift 3, SD3 grid"
    assert not get_schedule(steps=4, shift=3.0).is_sd3_grid


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"grid": "sd3", "scheduler_class": "DDIMScheduler"}, "takes no sigmas of a flow, so it has no SD3 grid"),
        ({"grid": "sd4"}, "The grid 'sd4' is not known; choose sd3 or own"),
    ],
)
def test_a_grid_that_does_not_fit_is_refused(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(GenerationError, match=sentence):
        get_schedule(steps=2, **wrong)


def test_endless_sweeps_are_refused(families_root: Path) -> None:
    checkpoint = checkpoint_of("sd3-t5")
    with pytest.raises(GenerationError, match="A sweep makes 1 to 1000 recipes, not 1050"):
        swept(checkpoint, Axes(steps=range(1, 351), guidances=(1, 2, 3)))
    with pytest.raises(GenerationError, match="A sweep makes 1 to 1000 recipes, not 0"):
        swept(checkpoint, Axes(steps=[]))

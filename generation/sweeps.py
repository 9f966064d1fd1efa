"""Sweeps: every combination of step counts, shifts and guidance as recipes in one act, none of them twice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Final

from generation import model_folders
from generation.adapters import parts_of
from generation.errors import GenerationError
from generation.models import Checkpoint, Recipe
from generation.recipes import drafted_recipe, get_recipe
from generation.scheduler_kinds import SCHEDULERS
from generation.schedules import (
    OWN_GRID,
    SD3_GRID,
    check_steps_and_shift,
    drafted_schedule,
    few_step_sigmas,
    get_schedule,
    steps_in_words,
)

MOST_RECIPES: Final = 1000


@dataclass(frozen=True)
class Axes:
    """What varies; a shift of None is the checkpoint's own."""

    steps: Sequence[int]
    shifts: Sequence[float | None] = (None,)
    guidances: Sequence[float] = (4.0,)


@dataclass(frozen=True)
class Sampler:
    """What is the same in all recipes of a sweep; an empty scheduler or grid is the checkpoint's usual one."""

    width: int
    height: int
    scheduler_class: str = ""
    grid: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    call_options: Mapping[str, Any] = field(default_factory=dict)
    without: Sequence[str] = ()
    sigmas: Sequence[float] | None = None
    dtype: str = "float32"
    negative_prompt: str = ""
    batch_mode: str = "fast"


@dataclass(frozen=True)
class Sweep:
    """The recipes in the order of the axes, and how many combinations they stand for."""

    recipes: list[Recipe]
    combinations: int


def sweep(*, checkpoint: Checkpoint, axes: Axes, sampler: Sampler) -> Sweep:
    """Recipes for all combinations, stored; those that would draw the same pictures are one.

    One step of the SD3 grid starts at 1, which no shift moves: all shifts of it are the first one's recipe.
    """
    made = drafted_sweep(checkpoint=checkpoint, axes=axes, sampler=sampler)
    return Sweep(recipes=[stored(draft) for draft in made.recipes], combinations=made.combinations)


def drafted_sweep(*, checkpoint: Checkpoint, axes: Axes, sampler: Sampler) -> Sweep:
    """The same recipes without storing any, for a plan that may never be carried out."""
    combinations = list(product(dict.fromkeys(axes.steps), dict.fromkeys(axes.shifts), dict.fromkeys(axes.guidances)))
    if not 1 <= len(combinations) <= MOST_RECIPES:
        raise GenerationError(f"A sweep makes 1 to {MOST_RECIPES} recipes, not {len(combinations)}.")
    scheduler_class = sampler.scheduler_class or own_scheduler(checkpoint)
    grid = sampler.grid or usual_grid(scheduler_class)
    chosen: dict[tuple[Any, ...], tuple[int, float | None, float]] = {}
    for steps, shift, guidance in combinations:
        check_steps_and_shift(steps=steps, shift=shift)
        moved = shift if sampler.sigmas is not None else _shifted(steps, shift, grid=grid)
        chosen.setdefault((steps, moved, guidance), (steps, shift, guidance))
    recipes = []
    for steps, shift, guidance in chosen.values():
        schedule = drafted_schedule(
            scheduler_class=scheduler_class,
            steps=steps,
            shift=shift,
            sigmas=sampler.sigmas,
            grid=grid,
            options=dict(sampler.options),
        )
        recipe = drafted_recipe(
            name=_name(checkpoint, axes, sampler, steps=steps, shift=shift, guidance=guidance),
            checkpoint=checkpoint,
            schedule=schedule,
            guidance=guidance,
            width=sampler.width,
            height=sampler.height,
            dtype=sampler.dtype,
            negative_prompt=sampler.negative_prompt,
            call_options=dict(sampler.call_options),
            batch_mode=sampler.batch_mode,
            without=sampler.without,
        )
        recipes.append(recipe)
    return Sweep(recipes=recipes, combinations=len(combinations))


def stored(draft: Recipe) -> Recipe:
    """A drafted recipe as a row, with its schedule; the one that has the same settings where there is one."""
    checkpoint, plan = draft.checkpoint, draft.schedule
    if checkpoint is None or plan is None:
        return draft
    schedule = get_schedule(
        scheduler_class=plan.scheduler_class,
        steps=plan.steps,
        shift=plan.shift,
        sigmas=plan.sigmas,
        options=plan.options,
    )
    return get_recipe(
        name=draft.name,
        checkpoint=checkpoint,
        schedule=schedule,
        guidance=draft.guidance,
        width=draft.width,
        height=draft.height,
        dtype=draft.dtype,
        negative_prompt=draft.negative_prompt,
        call_options=draft.call_options,
        batch_mode=draft.batch_mode,
        without=draft.without,
        notes=draft.notes,
    )


def own_scheduler(checkpoint: Checkpoint) -> str:
    """The class of the scheduler that came with a ready checkpoint."""
    folder = model_folders.folder_of(parts_of(checkpoint).base)
    return str(model_folders.scheduler_config(folder, checkpoint.pipeline_class).get("_class_name", ""))


def usual_grid(scheduler_class: str) -> str:
    """SD3's grid for the scheduler that it was published with, the scheduler's own for every other."""
    kind = SCHEDULERS.get(scheduler_class)
    return SD3_GRID if kind is not None and kind.samples == "flow" and kind.takes_sigmas else OWN_GRID


def _shifted(steps: int, shift: float | None, *, grid: str) -> Any:
    # What tells two shifts of one step count apart.
    if grid != SD3_GRID or shift is None:
        return shift
    return tuple(shift * sigma / (1 + (shift - 1) * sigma) for sigma in few_step_sigmas(steps))


def _name(
    checkpoint: Checkpoint, axes: Axes, sampler: Sampler, *, steps: int, shift: float | None, guidance: float
) -> str:
    parts = [checkpoint.name, steps_in_words(steps)]
    if shift is not None:
        parts.append(f"shift {shift:g}")
    if len(set(axes.guidances)) > 1:
        parts.append(f"guidance {guidance:g}")
    if sampler.scheduler_class:
        parts.append(sampler.scheduler_class.removesuffix("Scheduler"))
    parts += [f"{name} {value}" for name, value in sorted(sampler.options.items())]
    parts += [f"without {name}" for name in sampler.without]
    parts += [sampler.dtype] if sampler.dtype != Sampler.dtype else []
    parts += [sampler.batch_mode] if sampler.batch_mode != Sampler.batch_mode else []
    parts += ["own sigmas"] if sampler.sigmas is not None else []
    return ", ".join(parts)[:200]

"""Recipes: everything that decides the pixels of an image. Created unresolved; a worker stores sigmas or a refusal."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.db.models import QuerySet

from generation import model_folders
from generation.adapters import parts_of
from generation.errors import GenerationError
from generation.families import BATCH_MODES, DTYPES, FAMILIES, LARGEST_SIDE
from generation.hints import hint_resolver, hint_workers
from generation.models import Checkpoint, ImageJob, Recipe, Schedule
from generation.option_rules import check_options
from generation.provenance import digest_of


def get_recipe(
    *,
    name: str,
    checkpoint: Checkpoint,
    schedule: Schedule,
    guidance: float,
    width: int,
    height: int,
    dtype: str = "float32",
    negative_prompt: str = "",
    call_options: dict[str, Any] | None = None,
    batch_mode: str = "fast",
    without: Sequence[str] = (),
    notes: str = "",
) -> Recipe:
    """The recipe with exactly these settings, made at first use; an existing one keeps its name and notes.

    A refused recipe is sent to the workers when it is asked for again, because a mended folder changes the answer.
    """
    draft = drafted_recipe(
        name=name,
        checkpoint=checkpoint,
        schedule=schedule,
        guidance=guidance,
        width=width,
        height=height,
        dtype=dtype,
        negative_prompt=negative_prompt,
        call_options=call_options,
        batch_mode=batch_mode,
        without=without,
        notes=notes,
    )
    values = {field.attname: getattr(draft, field.attname) for field in Recipe._meta.concrete_fields}
    left_out = ("id", "digest", "created_at")
    recipe, _ = Recipe.objects.get_or_create(
        digest=draft.digest, defaults={name: value for name, value in values.items() if name not in left_out}
    )
    if recipe.state == Recipe.State.REFUSED:
        recipe.state, recipe.refusal = Recipe.State.CHECKING, ""
        recipe.save(update_fields=["state", "refusal"])
    if recipe.state == Recipe.State.CHECKING:
        hint_resolver()
    return recipe


def drafted_recipe(
    *,
    name: str,
    checkpoint: Checkpoint,
    schedule: Schedule,
    guidance: float,
    width: int,
    height: int,
    dtype: str = "float32",
    negative_prompt: str = "",
    call_options: dict[str, Any] | None = None,
    batch_mode: str = "fast",
    without: Sequence[str] = (),
    notes: str = "",
) -> Recipe:
    """The recipe with these settings, not stored: its digest says which one it would be."""
    _check(guidance=guidance, width=width, height=height, dtype=dtype, batch_mode=batch_mode)
    check_without(without)
    sampling: dict[str, Any] = {
        "guidance": float(guidance),
        "width": width,
        "height": height,
        "dtype": dtype,
        "negative_prompt": negative_prompt,
        "call_options": call_options or {},
        "batch_mode": batch_mode,
    }
    if without:
        # Only then: a key more would rename every recipe there is, and make all its images "missing".
        sampling["without"] = sorted(without)
    digest = digest_of(
        {
            # The name stands for the weights: they are hashed once and never change under a name.
            "checkpoint": [checkpoint.name, checkpoint.source, checkpoint.revision, checkpoint.adapters],
            "schedule": schedule.digest,
            **sampling,
        }
    )
    return Recipe(
        name=name,
        kind=Recipe.Kind.GENERATED,
        checkpoint=checkpoint,
        schedule=schedule,
        notes=notes,
        digest=digest,
        **sampling,
    )


def resolve_recipe(recipe: Recipe) -> Recipe:
    """Build the scheduler for this checkpoint and size, store what comes out; ready or refused. Run in a worker."""
    checkpoint, schedule = recipe.checkpoint, recipe.schedule
    if checkpoint is None or schedule is None:
        raise GenerationError(f"{recipe} stands for a service; there is nothing to resolve.")
    if checkpoint.state == Checkpoint.State.REFUSED:
        return _refuse(recipe, f"The checkpoint {checkpoint.name} was refused: {checkpoint.refusal}")
    if checkpoint.state != Checkpoint.State.READY:
        return recipe
    from generation.pipelines import schedules as scheduling  # torch, so only where a worker runs this

    try:
        folder = model_folders.folder_of(parts_of(checkpoint).base)
        _check_call_options(recipe, checkpoint)
        _check_removable(recipe, checkpoint.pipeline_class, folder)
        resolved = scheduling.resolve(
            folder=folder,
            spec=scheduling.ScheduleSpec.of(schedule),
            pipeline_class=checkpoint.pipeline_class,
            width=recipe.width,
            height=recipe.height,
            call_options=recipe.call_options,
        )
    except GenerationError as error:
        return _refuse(recipe, str(error))
    recipe.resolved_sigmas = resolved.sigmas
    recipe.resolved_timesteps = resolved.timesteps
    recipe.evaluations = len(resolved.timesteps)
    recipe.state, recipe.refusal = Recipe.State.READY, ""
    recipe.save(update_fields=["resolved_sigmas", "resolved_timesteps", "evaluations", "state", "refusal"])
    hint_workers()
    return recipe


def has_drafts() -> bool:
    """Whether a checkpoint or recipe waits for a worker's decision."""
    undecided = Checkpoint.objects.filter(state__in=[Checkpoint.State.DRAFT, Checkpoint.State.CHECKING])
    return undecided.exists() or _decidable().exists()


def unresolved_recipes() -> list[Recipe]:
    """Recipes a worker can decide on now: their checkpoint is decided."""
    return list(_decidable().select_related("checkpoint", "schedule").order_by("id"))


def _decidable() -> QuerySet[Recipe]:
    decided = [Checkpoint.State.READY, Checkpoint.State.REFUSED]
    return Recipe.objects.filter(kind=Recipe.Kind.GENERATED, state=Recipe.State.CHECKING, checkpoint__state__in=decided)


def fail_jobs_of_refused_recipes() -> int:
    """Jobs planned while their recipe was being refused would wait for ever without a reason; how many failed."""
    waiting = ImageJob.objects.filter(state=ImageJob.State.PENDING)
    refused = Recipe.objects.filter(state=Recipe.State.REFUSED, pk__in=waiting.values("recipe"))
    return sum(
        waiting.filter(recipe=recipe).update(state=ImageJob.State.FAILED, reason=recipe.refusal) for recipe in refused
    )


def _refuse(recipe: Recipe, sentence: str) -> Recipe:
    recipe.state, recipe.refusal = Recipe.State.REFUSED, sentence
    recipe.save(update_fields=["state", "refusal"])
    fail_jobs_of_refused_recipes()
    return recipe


def _check(*, guidance: float, width: int, height: int, dtype: str, batch_mode: str) -> None:
    if not (math.isfinite(guidance) and 0 <= guidance <= 100):
        raise GenerationError(f"guidance must be a number between 0 and 100, not {guidance}.")
    for side, pixels in (("width", width), ("height", height)):
        if not 8 <= pixels <= LARGEST_SIDE:
            raise GenerationError(f"{side} must lie between 8 and {LARGEST_SIDE} pixels, not {pixels}.")
    if dtype not in DTYPES:
        raise GenerationError(f"dtype must be one of {', '.join(DTYPES)}, not {dtype!r}.")
    if batch_mode not in BATCH_MODES:
        raise GenerationError(f"batch_mode must be {' or '.join(map(repr, BATCH_MODES))}, not {batch_mode!r}.")


def check_without(without: Sequence[str]) -> None:
    """Refuse text encoders that no pipeline can do without."""
    known = {name for family in FAMILIES.values() for name in family.removable}
    if unknown := sorted(set(without) - known):
        raise GenerationError(f"A recipe cannot do without {unknown[0]!r}; it can without {', '.join(sorted(known))}.")
    if len(set(without)) < len(without):
        raise GenerationError("A text encoder is listed twice; name it once.")


def _check_removable(recipe: Recipe, pipeline_class: str, folder: Path) -> None:
    index = model_folders.read_json(folder / "model_index.json") if recipe.without else {}
    for name in recipe.without:
        if name not in FAMILIES[pipeline_class].removable:
            raise GenerationError(f"{pipeline_class} cannot do without {name}; leave that out of the recipe.")
        if index.get(name) in (None, [None, None]):
            raise GenerationError(f"This checkpoint has no {name} to do without; its plain recipe is the same.")


def _check_call_options(recipe: Recipe, checkpoint: Checkpoint) -> None:
    family, name = FAMILIES[checkpoint.pipeline_class], checkpoint.pipeline_class
    check_options(recipe.call_options, family.call_options, owner=name, word="call option")
    needed = family.negative_prompt_needs
    if recipe.negative_prompt and needed and not recipe.call_options.get(needed, 1) > 1:
        raise GenerationError(f"{name} heeds a negative prompt only with the call option {needed} above 1; set it.")

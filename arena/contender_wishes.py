"""Contenders as a design names them: an existing recipe, a service, settings to sample with, or a sweep of settings."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from django.contrib.auth.models import User

from arena.models import Contender
from arena.refusals import StudyError
from generation import checkpoints, sweeps
from generation.errors import GenerationError
from generation.image_imports import find_external_recipe
from generation.models import Checkpoint, Recipe
from generation.schedules import OWN_GRID
from generation.sweeps import Axes, Sampler

MOST_CONTENDERS: Final = 200
SAMPLER_FIELDS: Final = frozenset(one.name for one in fields(Sampler))
OF_WISH: Final = frozenset({"label", "baseline", "recipe", "service"})
OF_POINT: Final = SAMPLER_FIELDS | {"checkpoint", "steps", "shift", "guidance"}
OF_SWEEP: Final = SAMPLER_FIELDS | {"checkpoints", "steps", "shifts", "guidances"}
USUAL_GUIDANCE: Final = 4.0


@dataclass(frozen=True)
class Wish:
    """One contender to be. The recipe may be a draft that is not stored yet."""

    label: str
    recipe: Recipe
    is_baseline: bool = False


def wishes_of(said: Mapping[str, Any], *, owner: User | None, kept: frozenset[str] = frozenset()) -> tuple[Wish, ...]:
    """All contenders of a design file in their order: those listed, then those of its sweeps, each recipe once.

    kept: digests of recipes that may stay although they are somebody else's, because a shared draft has them
    """
    listed, swept = said.get("contenders", []), said.get("sweeps", [])
    for name, value in (("contenders", listed), ("sweeps", swept)):
        if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
            raise _refusal(f"“{name}” must be a list of objects.", name)
    wishes = [_listed(row, f"Contender {number}", owner, kept) for number, row in enumerate(listed, start=1)]
    for number, row in enumerate(swept, start=1):
        wishes += _swept(row, f"Sweep {number}", owner)
    first: dict[str, Wish] = {}
    for wish in wishes:
        first.setdefault(wish.recipe.digest, wish)
    found = list(first.values())
    if len(found) > MOST_CONTENDERS:
        raise _refusal(f"A study has at most {MOST_CONTENDERS} contenders, not {len(found)}.", "contenders")
    return tuple(_with_baseline(_relabelled(found, said.get("labels", {})), said.get("baseline")))


def wish_of_contender(contender: Contender) -> dict[str, Any]:
    """A contender as a design file names it, with everything that makes its recipe the same elsewhere."""
    recipe = contender.recipe
    named: dict[str, Any] = {"label": contender.label}
    if contender.is_baseline:
        named["baseline"] = True
    if recipe.checkpoint is None or recipe.schedule is None:
        return named | {"service": recipe.name}
    point = {
        "checkpoint": recipe.checkpoint.name,
        "steps": recipe.schedule.steps,
        "shift": recipe.schedule.shift,
        "guidance": recipe.guidance,
        "width": recipe.width,
        "height": recipe.height,
        "scheduler_class": recipe.schedule.scheduler_class,
        "grid": OWN_GRID,  # the sigmas say it where it was another
        "options": recipe.schedule.options,
        "sigmas": recipe.schedule.sigmas,
        "call_options": recipe.call_options,
        "without": recipe.without,
        "dtype": recipe.dtype,
        "negative_prompt": recipe.negative_prompt,
        "batch_mode": recipe.batch_mode,
    }
    return named | {name: value for name, value in point.items() if value not in (None, "", {}, [])}


def _listed(row: dict[str, Any], place: str, owner: User | None, kept: frozenset[str]) -> Wish:
    kinds = [name for name in ("recipe", "service", "checkpoint") if name in row]
    if len(kinds) != 1:
        raise _refusal(f"{place} must name exactly one of recipe, service and checkpoint.", "contenders")
    label, is_baseline = row.get("label", ""), row.get("baseline", False)
    if not isinstance(label, str) or len(label) > 200 or not isinstance(is_baseline, bool):
        raise _refusal(
            f"{place}: label must be a text of at most 200 characters, baseline true or false.", "contenders"
        )
    if kinds[0] == "checkpoint":
        _only(row, OF_WISH | OF_POINT, place, "contenders")
        recipe = _point(row, place, owner)
    else:
        _only(row, OF_WISH, place, "contenders")
        recipe = _known(row, kinds[0], place, owner, kept)
    return Wish(label.strip() or recipe.name, recipe, is_baseline)


def _known(row: dict[str, Any], kind: str, place: str, owner: User | None, kept: frozenset[str]) -> Recipe:
    name = row[kind]
    if not isinstance(name, str) or not name:
        raise _refusal(f"{place}: {kind} must be a text.", "contenders")
    if kind == "recipe":
        found = Recipe.objects.select_related("checkpoint", "schedule").filter(digest=name).first()
    else:
        found = find_external_recipe(name=name, owner=owner)
    if found is None:
        raise _refusal(f"{place}: there is no {kind} {name[:80]!r} here.", "contenders")
    if found.digest not in kept and not _may_use(found, owner):
        raise _refusal(f"{place}: there is no {kind} {name[:80]!r} here.", "contenders")
    return found


def _may_use(recipe: Recipe, owner: User | None) -> bool:
    """Whether the recipe and what it is made with are this person's or the whole site's."""
    if owner is None or owner.is_superuser:
        return True
    owners = {recipe.owner_id, recipe.checkpoint.owner_id if recipe.checkpoint else None}
    return owners <= {None, owner.pk}


def _point(row: dict[str, Any], place: str, owner: User | None) -> Recipe:
    axes = {"steps": [row.get("steps")], "shifts": [row.get("shift")]}
    axes["guidances"] = [row.get("guidance", USUAL_GUIDANCE)]
    made = _drafted(row, _checkpoint(row["checkpoint"], place, owner), axes, place, "contenders")
    return made[0]


def _swept(row: dict[str, Any], place: str, owner: User | None) -> list[Wish]:
    _only(row, OF_SWEEP, place, "sweeps")
    names = row.get("checkpoints")
    if not isinstance(names, list) or not names:
        raise _refusal(f"{place}: checkpoints must list at least one name.", "sweeps")
    axes = {"steps": row.get("steps"), "shifts": row.get("shifts") or [None]}
    axes["guidances"] = row.get("guidances") or [USUAL_GUIDANCE]
    found = [_checkpoint(name, place, owner) for name in names]
    recipes = [recipe for checkpoint in found for recipe in _drafted(row, checkpoint, axes, place, "sweeps")]
    return [Wish(recipe.name, recipe) for recipe in recipes]


def _drafted(
    row: dict[str, Any], checkpoint: Checkpoint, axes: Mapping[str, Any], place: str, field: str
) -> list[Recipe]:
    steps, shifts, guidances = (axes[name] for name in ("steps", "shifts", "guidances"))
    if not _is_numbers(steps, int) or not steps:
        raise _refusal(f"{place}: steps must be whole numbers, such as 28.", field)
    if not all(shift is None or _is_numbers([shift], int | float) for shift in shifts):
        raise _refusal(f"{place}: a shift must be a number, or left out for the checkpoint's own.", field)
    if not _is_numbers(guidances, int | float):
        raise _refusal(f"{place}: guidance must be a number.", field)
    for side in ("width", "height"):
        if not _is_numbers([row.get(side)], int):
            raise _refusal(f"{place}: {side} must be a whole number of pixels.", field)
    said = {name: row[name] for name in SAMPLER_FIELDS if name in row}
    for name, kind in (("options", dict), ("call_options", dict), ("without", list), ("sigmas", list)):
        if not isinstance(said.get(name, kind()), kind):
            raise _refusal(f"{place}: {name} must be {'an object' if kind is dict else 'a list'}.", field)
    for name in ("scheduler_class", "grid", "dtype", "negative_prompt", "batch_mode"):
        if not isinstance(said.get(name, ""), str):
            raise _refusal(f"{place}: {name} must be a text.", field)
    if not _is_numbers(said.get("sigmas", []), int | float):
        raise _refusal(f"{place}: sigmas must be numbers.", field)
    try:
        if "call_options" not in said:
            said["call_options"] = _told(checkpoint)
        return sweeps.drafted_sweep(
            checkpoint=checkpoint,
            axes=Axes(steps=steps, shifts=shifts, guidances=[float(value) for value in guidances]),
            sampler=replace(Sampler(width=row["width"], height=row["height"]), **said),
        ).recipes
    except GenerationError as error:
        raise _refusal(f"{place}: {error}", field) from error
    except OSError as error:
        raise _refusal(
            f"{place}: the files of {checkpoint.name} are not on this machine: name a scheduler_class.", field
        ) from error


def _told(checkpoint: Checkpoint) -> dict[str, Any]:
    try:
        return checkpoints.told_call_options(checkpoint)
    except (GenerationError, OSError):
        return {}  # the web host need not hold the models


def _checkpoint(name: Any, place: str, owner: User | None) -> Checkpoint:
    visible = Checkpoint.objects.all() if owner is None else Checkpoint.objects.visible_to(owner)
    found = visible.filter(name=name).first() if isinstance(name, str) else None
    if found is None:
        known = ", ".join(visible.values_list("name", flat=True)[:20]) or "none yet"
        raise _refusal(f"{place}: there is no checkpoint {str(name)[:80]!r}; known: {known}.", "checkpoints")
    if found.state == Checkpoint.State.REFUSED:
        raise _refusal(f"{place}: the checkpoint {found.name} was refused: {found.refusal}", "checkpoints")
    return found


def _relabelled(wishes: list[Wish], labels: Any) -> list[Wish]:
    """Other labels for contenders that a sweep or a recipe named."""
    if not isinstance(labels, dict) or not all(
        isinstance(label, str) and 0 < len(label) <= 200 for label in labels.values()
    ):
        raise _refusal("“labels” must map names of contenders to labels of 1 to 200 characters.", "labels")
    known = {wish.label for wish in wishes}
    if unknown := sorted(set(labels) - known):
        raise _refusal(f"“labels” renames {unknown[0][:80]!r}, but no contender is called so.", "labels")
    return [replace(wish, label=labels.get(wish.label, wish.label)) for wish in wishes]


def _with_baseline(wishes: list[Wish], said: Any) -> list[Wish]:
    if said is None or said == "":
        return wishes
    if said not in [wish.label for wish in wishes]:
        known = ", ".join(wish.label for wish in wishes[:20])
        raise _refusal(
            f"No contender is called {str(said)[:80]!r}, so it cannot be the baseline; there are {known}.", "baseline"
        )
    return [replace(wish, is_baseline=wish.label == said) for wish in wishes]


def _only(row: dict[str, Any], known: frozenset[str], place: str, field: str) -> None:
    if unknown := sorted(set(row) - known):
        raise _refusal(
            f"{place} has an unknown entry {str(unknown[0])[:40]!r}; known are {', '.join(sorted(known))}.", field
        )


def _is_numbers(values: Any, kind: Any) -> bool:
    return isinstance(values, list | tuple) and all(
        isinstance(value, kind) and not isinstance(value, bool) for value in values
    )


def _refusal(sentence: str, field: str) -> StudyError:
    return StudyError(sentence, code="bad_contender", field=field)

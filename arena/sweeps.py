"""Contenders that differ in one setting only, such as the number of steps or the timestep shift."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from arena.models import Contender
from generation.models import Recipe, Schedule

Factor = Literal["steps", "shift"]
FACTORS: Final[tuple[Factor, ...]] = ("steps", "shift")

_SETTINGS: Final = (
    *("checkpoint", "scheduler", "options", "steps", "shift", "sigmas", "guidance", "size", "dtype"),
    *("negative prompt", "call", "batch", "without"),
)
_PLACE_OF: Final = {name: place for place, name in enumerate(_SETTINGS)}
_DOT: Final = " · "
Key = tuple[str, ...]


@dataclass(frozen=True)
class Sweep:
    """One checkpoint with all else equal but the factor. Levels rise; contenders stand in their order."""

    factor: Factor
    name: str
    contenders: tuple[Contender, ...]
    levels: tuple[float, ...]


def sweeps_of(contenders: Iterable[Contender], factor: Factor) -> tuple[Sweep, ...]:
    """One sweep for every checkpoint and setting that has contenders at two or more levels of the factor.

    Contenders need their recipes with checkpoint and schedule.
    """
    groups: dict[Key, list[Contender]] = {}
    for contender in sorted(contenders, key=lambda contender: contender.position):
        if contender.recipe.kind == Recipe.Kind.GENERATED and _level(contender, factor) is not None:
            groups.setdefault(_all_but(contender.recipe, factor), []).append(contender)
    swept = {key: own for key, own in groups.items() if len({_level(each, factor) for each in own}) > 1}
    names = _labels(swept) or _names(swept, factor)
    return tuple(_sweep(names[key], own, factor) for key, own in swept.items())


def schedule_of(recipe: Recipe) -> Schedule:
    if recipe.schedule is None:
        raise ValueError(f"recipe {recipe} has no schedule, so no number of steps")
    return recipe.schedule


def _sweep(name: str, own: Sequence[Contender], factor: Factor) -> Sweep:
    ordered = sorted(own, key=lambda contender: _level(contender, factor) or 0.0)
    return Sweep(factor, name, tuple(ordered), tuple(_level(each, factor) or 0.0 for each in ordered))


def _level(contender: Contender, factor: Factor) -> float | None:
    """None where the scheduler decides it, or where it cannot be put on a logarithmic axis."""
    schedule = schedule_of(contender.recipe)
    if factor == "steps":
        return float(schedule.steps)
    return float(schedule.shift) if schedule.shift and schedule.sigmas is None else None


def _all_but(recipe: Recipe, factor: Factor) -> Key:
    """Everything that decides the pixels, except the factor: equal for the levels of one sweep."""
    schedule = schedule_of(recipe)
    key = (
        recipe.checkpoint.name if recipe.checkpoint else "",
        schedule.scheduler_class,
        json.dumps(schedule.options, sort_keys=True),
        str(schedule.steps),
        "none" if schedule.shift is None else f"{schedule.shift:g}",
        _sigma_rule(schedule),
        f"{recipe.guidance:g}",
        f"{recipe.width}x{recipe.height}",
        recipe.dtype,
        recipe.negative_prompt,
        json.dumps(recipe.call_options, sort_keys=True),
        recipe.batch_mode,
        ", ".join(recipe.without) or "nothing",
    )
    place = _PLACE_OF[factor]
    return (*key[:place], "", *key[place + 1 :])


def has_even_sigmas(schedule: Schedule) -> bool:
    """Whether the explicit sigmas are linspace(1, 1/N, N): one rule at every number of steps."""
    sigmas = np.asarray(schedule.sigmas or [], dtype=np.float64)
    even = np.linspace(1, 1 / schedule.steps, schedule.steps)
    return len(sigmas) == schedule.steps and np.allclose(sigmas, even, atol=1e-6)


def _sigma_rule(schedule: Schedule) -> str:
    """The rule behind explicit sigmas; a list that follows no known rule is a curve of its own."""
    if schedule.sigmas is None:
        return "the scheduler's"
    return "even" if has_even_sigmas(schedule) else f"own {schedule.digest[:8]}"


def _labels(groups: Mapping[Key, Sequence[Contender]]) -> dict[Key, str]:
    """What the contenders' own labels have in common before their last part: "final" of "final · 8 steps".

    So a checkpoint has one name in a study. Nothing where labels are not made like that, or two sweeps share a name.
    """
    heads = {key: {each.label.rpartition(_DOT)[0] for each in own} for key, own in groups.items()}
    names = {key: head for key, (head, *others) in heads.items() if head and not others}
    return names if len(set(names.values())) == len(groups) else {}


def _names(groups: Mapping[Key, Sequence[Contender]], factor: Factor) -> dict[Key, str]:
    """The checkpoint's name, with the settings in which sweeps of one checkpoint differ."""
    names = {}
    for key in groups:
        siblings = [other for other in groups if other[0] == key[0]]
        differing = [
            f"{setting} {key[place]}"
            for place, setting in enumerate(_SETTINGS)
            if place and setting != factor and len({other[place] for other in siblings}) > 1
        ]
        names[key] = ", ".join([key[0], *differing])
    return names

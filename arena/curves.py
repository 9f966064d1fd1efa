"""Preference against the number of sampling steps: how much of a checkpoint's quality survives with fewer of them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
from django.db.models import Avg

from arena.leaderboard import CriterionResults, Estimate
from arena.models import Contender, Study
from generation.models import Image, Recipe, Schedule

# "Cannot tell" is only said where the interval also rules out a lag of more than this; else votes are merely missing.
MARGIN = 0.1

_SETTINGS = (
    *("scheduler", "options", "shift", "sigmas", "guidance", "size", "dtype", "negative prompt", "call", "batch"),
    "without",
)


@dataclass(frozen=True)
class Level:
    """One number of steps of a curve."""

    contender: Contender
    steps: int
    evaluations: int | None
    seconds: float | None
    against_most: Estimate
    against_baseline: Estimate
    votes: int
    is_reference: bool


@dataclass(frozen=True)
class Curve:
    """A checkpoint with all else equal but the steps. Levels rise; the last is the reference of `against_most`."""

    name: str
    levels: tuple[Level, ...]

    @property
    def reference(self) -> Level:
        return self.levels[-1]

    @property
    def finding(self) -> str:
        """What the intervals allow to be said, in one sentence."""
        most = self.reference.steps
        judged = [level for level in self.levels[:-1] if level.against_most.side is not None]
        if not judged:
            return f"Too few votes yet to compare step counts of {self.name}"
        better = [level for level in judged if level.against_most.side == 1]
        if better:
            return f"Raters prefer {self.name} at {_listed(level.steps for level in better)} steps to its {most} steps"
        settled = list(takewhile(lambda level: level.against_most.side == 0, reversed(judged)))
        if not settled:
            return f"Raters prefer {most} steps of {self.name} to {_fewer(judged, self.levels)}"
        since = "At any number of steps" if len(settled) == len(judged) else f"From {settled[-1].steps} steps on"
        if all((level.against_most.low or 0.0) >= 0.5 - MARGIN for level in settled):
            return f"{since}, raters cannot tell images of {self.name} from those at {most} steps"
        return f"{since}, no preference for {most} steps of {self.name} shows yet"


def step_curves(results: CriterionResults, *, seconds: Mapping[int, float]) -> tuple[Curve, ...]:
    """One curve for every checkpoint and setting that has contenders at two or more step counts.

    `seconds` are mean seconds an image by recipe id, see `seconds_an_image`.
    """
    groups: dict[tuple[str, ...], list[Contender]] = {}
    for contender in sorted((row.contender for row in results.rows), key=lambda contender: contender.position):
        if contender.recipe.kind == Recipe.Kind.GENERATED:
            groups.setdefault(_all_but_steps(contender.recipe), []).append(contender)
    swept = {key: group for key, group in groups.items() if len({_schedule(each.recipe).steps for each in group}) > 1}
    names = _names(swept)
    return tuple(_curve(names[key], group, results, seconds) for key, group in swept.items())


def seconds_an_image(study: Study) -> dict[int, float]:
    """Mean wall seconds of an image, by recipe id, over all images of the study's recipes that were timed."""
    found = (
        Image.objects.filter(recipe__contenders__study=study, seconds__isnull=False)
        .order_by()
        .values_list("recipe")
        .annotate(mean=Avg("seconds"))
    )
    return dict(found)


def _curve(name: str, group: list[Contender], results: CriterionResults, seconds: Mapping[int, float]) -> Curve:
    ordered = sorted(group, key=lambda contender: _schedule(contender.recipe).steps)
    most = ordered[-1]
    rows = {row.contender.pk: row for row in results.rows}
    return Curve(
        name=name,
        levels=tuple(
            Level(
                contender=contender,
                steps=_schedule(contender.recipe).steps,
                evaluations=contender.recipe.evaluations,
                seconds=seconds.get(contender.recipe_id),
                against_most=results.between(contender, most),
                against_baseline=rows[contender.pk].against_baseline,
                votes=rows[contender.pk].votes,
                is_reference=contender is most,
            )
            for contender in ordered
        ),
    )


def _all_but_steps(recipe: Recipe) -> tuple[str, ...]:
    """Everything that decides the pixels, except the number of steps: equal for the levels of one curve."""
    schedule = _schedule(recipe)
    return (
        recipe.checkpoint.name if recipe.checkpoint else "",
        schedule.scheduler_class,
        json.dumps(schedule.options, sort_keys=True),
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


def _sigma_rule(schedule: Schedule) -> str:
    """The rule behind explicit sigmas; a list that follows no known rule is a curve of its own."""
    if schedule.sigmas is None:
        return "the scheduler's"
    sigmas = np.asarray(schedule.sigmas, dtype=np.float64)
    even = np.linspace(1, 1 / schedule.steps, schedule.steps)
    if len(sigmas) == schedule.steps and np.allclose(sigmas, even, atol=1e-6):
        return "even"
    return f"own {schedule.digest[:8]}"


def _names(groups: Mapping[tuple[str, ...], Sequence[Contender]]) -> dict[tuple[str, ...], str]:
    """The checkpoint's name, with the settings in which curves of one checkpoint differ."""
    names = {}
    for key in groups:
        siblings = [other for other in groups if other[0] == key[0]]
        differing = [
            f"{setting} {key[index]}"
            for index, setting in enumerate(_SETTINGS, start=1)
            if len({other[index] for other in siblings}) > 1
        ]
        names[key] = ", ".join([key[0], *differing])
    return names


def _schedule(recipe: Recipe) -> Schedule:
    if recipe.schedule is None:
        raise ValueError(f"recipe {recipe} has no schedule, so no number of steps")
    return recipe.schedule


def _fewer(worse: Sequence[Level], levels: Sequence[Level]) -> str:
    if len(worse) == len(levels) - 1 and all(level.against_most.side == -1 for level in worse):
        return "every smaller number" if len(worse) > 1 else str(worse[0].steps)
    return str(worse[-1].steps)


def _listed(numbers: Iterable[int]) -> str:
    words = [str(number) for number in numbers]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"

"""Preference against the number of sampling steps: how much of a checkpoint's quality survives with fewer of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from django.db.models import Avg

from arena.leaderboard import CriterionResults, Estimate
from arena.models import Contender, Study
from arena.not_worse import fewest_steps
from arena.planning_assumptions import Assumptions
from arena.sweeps import Sweep, schedule_of, sweeps_of
from generation.models import Image
from generation.schedules import steps_in_words

# "Cannot tell" is only said where the interval also rules out a lag of more than this; else votes are merely missing.
MARGIN = 0.1


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
    loses_at_most: float | None = None
    """How often at most the most steps are preferred to this, one-sided at 95 %; None where that is not known."""

    @property
    def surely_loses_at_most(self) -> Estimate:
        return Estimate(self.loses_at_most)


@dataclass(frozen=True)
class Fewest:
    """The fewest steps to which the most are surely not preferred by more than the margin; None where only the most."""

    margin: float
    steps: int | None


@dataclass(frozen=True)
class Curve:
    """A checkpoint with all else equal but the steps. Levels rise; the last is the reference of `against_most`."""

    name: str
    levels: tuple[Level, ...]
    fewest: Fewest | None = None

    @property
    def reference(self) -> Level:
        return self.levels[-1]

    @property
    def not_worse(self) -> str:
        """The fewest steps not worse than the most, in one sentence; empty where that is not known."""
        if self.fewest is None:
            return ""
        most, points = self.reference.steps, f"{100 * self.fewest.margin:g} points"
        if self.fewest.steps is None:
            return f"no number below {most} steps is surely not worse by more than {points}"
        fewest = "1 step is" if self.fewest.steps == 1 else f"{self.fewest.steps} steps are"
        return f"{fewest} the fewest surely not worse than {most} by more than {points}"

    @property
    def finding(self) -> str:
        """What the intervals allow to be said, in one sentence."""
        most = self.reference.steps
        judged = [level for level in self.levels[:-1] if level.against_most.side is not None]
        if not judged:
            return f"Too few votes yet to compare step counts of {self.name}"
        better = [level for level in judged if level.against_most.side == 1]
        if better:
            fewer = f"{_listed(level.steps for level in better)} step{'s' if better[-1].steps > 1 else ''}"
            return f"Raters prefer {self.name} at {fewer} to its {most} steps"
        settled = list(takewhile(lambda level: level.against_most.side == 0, reversed(judged)))
        if not settled:
            return f"Raters prefer {most} steps of {self.name} to {_fewer(judged, self.levels)}"
        first = steps_in_words(settled[-1].steps)
        since = "At any number of steps" if len(settled) == len(judged) else f"From {first} on"
        edges = [(level.against_most.low or 0.0, level.against_most.high or 1.0) for level in settled]
        if all(low >= 0.5 - MARGIN and high <= 0.5 + MARGIN for low, high in edges):
            return f"{since}, raters cannot tell images of {self.name} from those at {most} steps"
        return f"{since}, no preference for {most} steps of {self.name} shows yet"


def step_curves(
    results: CriterionResults, *, seconds: Mapping[int, float], margin: float = Assumptions.margin
) -> tuple[Curve, ...]:
    """One curve for every checkpoint and setting that has contenders at two or more step counts.

    `seconds` are mean seconds an image by recipe id, see `seconds_an_image`; `margin` is what fewer steps may lose by.
    """
    found = (row.contender for row in results.rows)
    return tuple(_curve(sweep, results, seconds, margin) for sweep in sweeps_of(found, "steps"))


def _bounds(results: CriterionResults, sweep: Sweep) -> dict[float, float | None]:
    """How often at most the most steps are preferred to each level, from the most down, as the worker found of this
    very sweep; empty where the fit is older than that or votes do not link it."""
    findings = (results.fit.results.get("findings") if results.fit else None) or {}
    ids = {contender.pk for contender in sweep.contenders}
    own = next((told for told in findings.get("sweeps", ()) if set(told["contenders"]) == ids), None)
    return {} if own is None else dict(zip(own["levels"], own["reference_wins_at_most"], strict=True))


def _fewest(bounds: Mapping[float, float | None], margin: float) -> Fewest | None:
    if not bounds:
        return None
    steps = fewest_steps(list(bounds), list(bounds.values()), margin)
    return Fewest(margin, None if steps is None else int(steps))


def seconds_an_image(study: Study) -> dict[int, float]:
    """Mean wall seconds of an image, by recipe id, over all images of the study's recipes that were timed."""
    found = (
        Image.objects.filter(recipe__contenders__study=study, seconds__isnull=False)
        .order_by()
        .values_list("recipe")
        .annotate(mean=Avg("seconds"))
    )
    return dict(found)


def _curve(sweep: Sweep, results: CriterionResults, seconds: Mapping[int, float], margin: float) -> Curve:
    most, bounds = sweep.contenders[-1], _bounds(results, sweep)
    rows = {row.contender.pk: row for row in results.rows}
    return Curve(
        name=sweep.name,
        fewest=_fewest(bounds, margin),
        levels=tuple(
            Level(
                contender=contender,
                steps=schedule_of(contender.recipe).steps,
                evaluations=contender.recipe.evaluations,
                seconds=seconds.get(contender.recipe_id),
                against_most=results.between(contender, most),
                against_baseline=rows[contender.pk].against_baseline,
                votes=rows[contender.pk].votes,
                is_reference=contender is most,
                loses_at_most=bounds.get(level) if contender is not most else None,
            )
            for contender, level in zip(sweep.contenders, sweep.levels, strict=True)
        ),
    )


def _fewer(worse: Sequence[Level], levels: Sequence[Level]) -> str:
    if len(worse) == len(levels) - 1 and all(level.against_most.side == -1 for level in worse):
        return "every smaller number" if len(worse) > 1 else str(worse[0].steps)
    return str(worse[-1].steps)


def _listed(numbers: Iterable[int]) -> str:
    words = [str(number) for number in numbers]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"

"""Preference against the number of sampling steps: how much of a checkpoint's quality survives with fewer of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from django.db.models import Avg

from arena.leaderboard import CriterionResults, Estimate
from arena.models import Contender, Study
from arena.sweeps import Sweep, schedule_of, sweeps_of
from generation.models import Image

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
    fewest: tuple[Fewest, ...] = ()

    @property
    def reference(self) -> Level:
        return self.levels[-1]

    @property
    def not_worse(self) -> str:
        """The fewest steps not worse than the most, in one sentence for all margins; empty where that is not known."""
        most, told = self.reference.steps, []
        for each in self.fewest:
            points = f"{100 * each.margin:.0f} points"
            told.append(f"{points}: {'no fewer' if each.steps in (None, most) else each.steps}")
        return f"Fewest steps that surely lose to {most} steps by no more than {', '.join(told)}" if told else ""

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
        edges = [(level.against_most.low or 0.0, level.against_most.high or 1.0) for level in settled]
        if all(low >= 0.5 - MARGIN and high <= 0.5 + MARGIN for low, high in edges):
            return f"{since}, raters cannot tell images of {self.name} from those at {most} steps"
        return f"{since}, no preference for {most} steps of {self.name} shows yet"


def step_curves(results: CriterionResults, *, seconds: Mapping[int, float]) -> tuple[Curve, ...]:
    """One curve for every checkpoint and setting that has contenders at two or more step counts.

    `seconds` are mean seconds an image by recipe id, see `seconds_an_image`.
    """
    found = (row.contender for row in results.rows)
    return tuple(_curve(sweep, results, seconds) for sweep in sweeps_of(found, "steps"))


def _fewest(results: CriterionResults, sweep: Sweep) -> tuple[Fewest, ...]:
    """What the worker found of this very sweep; empty where the fit is older than that or votes do not link it."""
    findings = (results.fit.results.get("findings") if results.fit else None) or {}
    ids = {contender.pk for contender in sweep.contenders}
    own = next((told for told in findings.get("sweeps", ()) if set(told["contenders"]) == ids), None)
    if own is None:
        return ()
    return tuple(
        Fewest(each["margin"], None if each["steps"] is None else int(each["steps"])) for each in own["fewest"]
    )


def seconds_an_image(study: Study) -> dict[int, float]:
    """Mean wall seconds of an image, by recipe id, over all images of the study's recipes that were timed."""
    found = (
        Image.objects.filter(recipe__contenders__study=study, seconds__isnull=False)
        .order_by()
        .values_list("recipe")
        .annotate(mean=Avg("seconds"))
    )
    return dict(found)


def _curve(sweep: Sweep, results: CriterionResults, seconds: Mapping[int, float]) -> Curve:
    most = sweep.contenders[-1]
    rows = {row.contender.pk: row for row in results.rows}
    return Curve(
        name=sweep.name,
        fewest=_fewest(results, sweep),
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
            )
            for contender in sweep.contenders
        ),
    )


def _fewer(worse: Sequence[Level], levels: Sequence[Level]) -> str:
    if len(worse) == len(levels) - 1 and all(level.against_most.side == -1 for level in worse):
        return "every smaller number" if len(worse) > 1 else str(worse[0].steps)
    return str(worse[-1].steps)


def _listed(numbers: Iterable[int]) -> str:
    words = [str(number) for number in numbers]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"

"""By how much fewer steps may lose to the most and still be called not worse: as planned, or as the reader chooses."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from arena.models import Study
from arena.planning_assumptions import RANGES, Assumptions, assumptions_of


@dataclass(frozen=True)
class Margin:
    """A margin of win probability. problem: why what was asked for is not shown, in one sentence."""

    value: float
    planned: float
    problem: str = ""

    @property
    def points(self) -> str:
        return f"{100 * self.value:g}"

    @property
    def planned_points(self) -> str:
        return f"{100 * self.planned:g}"

    @property
    def is_planned(self) -> bool:
        return self.value == self.planned

    @property
    def choice(self) -> tuple[tuple[str, str], ...]:
        """What an address needs to show this margin again; nothing for the planned one."""
        return () if self.is_planned else (("margin", self.points),)


USUAL: Final = Margin(Assumptions.margin, Assumptions.margin)


def planned_margin(study: Study) -> float:
    """What the design says, frozen when the study opens; the usual five points where it says nothing."""
    return (assumptions_of(study) or Assumptions()).margin


def margin_of(study: Study, said: str = "") -> Margin:
    """The margin in points that a reader asks for, or the planned one where that cannot be read."""
    planned = planned_margin(study)
    if not said:
        return Margin(planned, planned)
    low, high = RANGES["margin"]
    try:
        value = round(float(said) / 100, 6)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        told = f"a margin is a number of points from {100 * low:g} to {100 * high:g}, not “{said[:20]}”"
        return Margin(planned, planned, f"Shown for the planned {100 * planned:g} points: {told}.")
    return Margin(value, planned)


def fewest_steps(levels: Sequence[float], at_most: Sequence[float | None], margin: float) -> float | None:
    """The fewest steps that surely lose to the most by no more than the margin; None where only the most do.

    levels fall from the most, at_most says how often at most the most are preferred to each, surely. They are tried
    in turn down to the first that fails, which needs no correction for their number (arena/ranking/curves.py).
    """
    found = None
    for steps, bound in zip(levels[1:], at_most[1:], strict=True):
        if bound is None or bound >= 0.5 + margin:
            break
        found = steps
    return found

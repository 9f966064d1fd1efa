"""Preference against timestep shift: how much a checkpoint's images gain or lose by it, all else equal."""

from dataclasses import dataclass

from arena.leaderboard import CriterionResults, Estimate
from arena.models import Contender
from arena.sweeps import sweeps_of


@dataclass(frozen=True)
class ShiftLevel:
    """One shift of a curve."""

    contender: Contender
    shift: float
    against_least: Estimate
    against_baseline: Estimate
    votes: int
    is_reference: bool


@dataclass(frozen=True)
class ShiftCurve:
    """A checkpoint with all else equal but the shift. Levels rise; the first is the reference."""

    name: str
    levels: tuple[ShiftLevel, ...]

    @property
    def reference(self) -> ShiftLevel:
        return self.levels[0]

    @property
    def finding(self) -> str:
        """What the intervals allow to be said, in one sentence."""
        least = f"{self.reference.shift:g}"
        sides = {f"{level.shift:g}": level.against_least.side for level in self.levels[1:]}
        if all(side is None for side in sides.values()):
            return f"Too few votes yet to compare shifts of {self.name}"
        better = [shift for shift, side in sides.items() if side == 1]
        worse = [shift for shift, side in sides.items() if side == -1]
        if better:
            return f"Raters prefer {self.name} at shift {_listed(better)} to shift {least}"
        if worse:
            return f"Raters prefer {self.name} at shift {least} to shift {_listed(worse)}"
        return f"No shift of {self.name} is surely preferred to {least}"


def shift_curves(results: CriterionResults) -> tuple[ShiftCurve, ...]:
    """One curve for every checkpoint and setting that has contenders at two or more shifts."""
    rows = {row.contender.pk: row for row in results.rows}
    return tuple(
        ShiftCurve(
            sweep.name,
            tuple(
                ShiftLevel(
                    contender=contender,
                    shift=shift,
                    against_least=results.between(contender, sweep.contenders[0]),
                    against_baseline=rows[contender.pk].against_baseline,
                    votes=rows[contender.pk].votes,
                    is_reference=contender is sweep.contenders[0],
                )
                for contender, shift in zip(sweep.contenders, sweep.levels, strict=True)
            ),
        )
        for sweep in sweeps_of((row.contender for row in results.rows), "shift")
    )


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"

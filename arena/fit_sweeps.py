"""The fewest steps that are not worse than the most by more than a margin, as JSON, from a fit's joint errors."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from scipy.special import expit

from arena.fitted_votes import Fitted, plain
from arena.ranking.curves import Line, fewest_not_worse, margin_of

Told = dict[str, Any]
StepSweeps = Sequence[Mapping[int, float]]
"""Steps by contender id, one mapping a sweep."""

MARGINS: Final = (0.02, 0.05, 0.1)
"""By how much more than half the reference may win."""


def sweeps_of(found: Fitted, sweeps: StepSweeps) -> list[Told]:
    """Each sweep whose levels votes compare: per level the most that the reference may win, and the fewest steps."""
    return [told for sweep in sweeps if (told := _sweep(found, sweep)) is not None]


def _sweep(found: Fitted, steps: Mapping[int, float]) -> Told | None:
    place = {pk: number for number, pk in enumerate(found.counted.contenders)}
    known = sorted((level, pk) for pk, level in steps.items() if pk in place)
    contenders = np.array([place[pk] for _, pk in known], dtype=np.intp)
    levels = np.array([level for level, _ in known])
    fit = found.fit
    if len(np.unique(levels)) < max(2, len(levels)) or len(np.unique(fit.components[contenders])) > 1:
        return None
    if np.isnan(fit.strengths[contenders]).any():
        return None
    line = Line(contenders, levels)
    tested = {margin: fewest_not_worse(found.precision, line, margin=margin_of(margin)) for margin in MARGINS}
    any_of = next(iter(tested.values()))
    return {
        "contenders": [pk for _, pk in known[::-1]],
        "levels": any_of.levels.tolist(),
        # One-sided at 95 %: so often at most is the reference preferred to the level.
        "reference_wins_at_most": plain(expit(any_of.highest)),
        "fewest": [{"margin": margin, "steps": each.fewest} for margin, each in tested.items()],
    }

"""Preference against cost: which contenders nobody beats in both the time of an image and how often it is preferred."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from arena.leaderboard import CriterionResults, Estimate, Row


@dataclass(frozen=True)
class Priced:
    """A contender with its seconds an image. is_efficient: no other is as fast and preferred as much or more."""

    row: Row
    seconds: float
    preferred: Estimate
    is_efficient: bool


def priced(results: CriterionResults, seconds: Mapping[int, float]) -> tuple[Priced, ...]:
    """Contenders that can be compared with the baseline and were timed, the fastest first; `seconds` by recipe id."""
    known = [
        (seconds[row.contender.recipe_id], Estimate(0.5) if row.is_baseline else row.against_baseline, row)
        for row in results.rows
        if row.contender.recipe_id in seconds and (row.is_baseline or row.against_baseline.value is not None)
    ]
    if not any(row.is_baseline for _, _, row in known):
        return ()
    known.sort(key=lambda each: (each[0], -(each[1].value or 0.0), each[2].contender.position))
    points = [(cost, estimate.value or 0.0) for cost, estimate, _ in known]
    return tuple(
        Priced(row, cost, estimate, _is_efficient(place, points)) for place, (cost, estimate, row) in enumerate(known)
    )


def _is_efficient(place: int, points: Sequence[tuple[float, float]]) -> bool:
    own = points[place]
    return not any(cost <= own[0] and share >= own[1] and (cost, share) != own for cost, share in points)

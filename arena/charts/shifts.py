"""The shift curves: how probably more timestep shift is preferred to the least of the same checkpoint."""

from collections.abc import Sequence
from typing import Any

from arena.charts.rendering import Chart, Size, Spec, Theme
from arena.charts.steps import curve_marks
from arena.charts.words import described, ends, evidence
from arena.leaderboard import CriterionResults
from arena.shift_curves import ShiftCurve

_BESIDE = 1.02


def shifts_chart(results: CriterionResults, curves: Sequence[ShiftCurve]) -> Chart | None:
    """None where no checkpoint has two shifts that can be compared yet."""
    drawn = [curve for curve in curves if any(level.against_least.value is not None for level in curve.levels[1:])]
    if not drawn:
        return None
    return Chart(
        name=f"shift-{results.criterion.key}",
        title=tuple(curve.finding for curve in drawn),
        subtitle=evidence(results),
        description=" ".join(
            described(
                f"{curve.name}, probability of being preferred to its shift {curve.reference.shift:g}",
                [(f"shift {level.shift:g}", level.against_least) for level in curve.levels[1:]],
            )
            for curve in drawn
        ),
        draw=lambda theme, size: _draw(drawn, theme, size),
        data=[
            ("curve", "shift", "preferred_to_least_shift", "low", "high"),
            *((curve.name, level.shift, *ends(level.against_least)) for curve in drawn for level in curve.levels),
        ],
    )


def _draw(curves: Sequence[ShiftCurve], theme: Theme, size: Size) -> Spec:
    values = [value for index, curve in enumerate(curves) for value in _points(curve, index - (len(curves) - 1) / 2)]
    shifts = sorted({level.shift for curve in curves for level in curve.levels})
    x = {
        "field": "place",
        "type": "quantitative",
        "title": "timestep shift, logarithmic",
        "scale": {"type": "log", "base": 2, "domain": [shifts[0] / 1.1, shifts[-1] * 1.1], "nice": False},
        "axis": {"values": shifts, "format": "~g", "grid": False, "labelOverlap": False},
    }
    y = {
        "type": "quantitative",
        "title": "preferred to the least shift",
        "scale": {"domain": [0, 1], "nice": False},
        "axis": {"format": ".0%", "tickCount": 6, "grid": True, "ticks": False},
    }
    return {
        "height": (250 if size.is_narrow else 330) + (18 * len(curves) if size.is_narrow else 24),
        "data": {"values": values},
        "encoding": {"x": x},
        "layer": [
            {
                "data": {"values": [{}]},
                "mark": {"type": "rule", "strokeDash": [4, 3], "color": theme.muted},
                "encoding": {"y": {"datum": 0.5, "type": "quantitative"}, "x": None},
            },
            *curve_marks([curve.name for curve in curves], y, theme, size),
        ],
    }


def _points(curve: ShiftCurve, beside: float) -> list[dict[str, Any]]:
    """The reference, even with itself by definition, then the levels that can be compared."""
    compared = [level for level in curve.levels[1:] if level.against_least.value is not None]
    even = 0.5 if compared and compared[0].against_least.low is not None else None
    shift = _BESIDE**beside
    reference = {"place": curve.reference.shift * shift, "value": 0.5, "low": even, "high": even, "reference": True}
    return [
        {"curve": curve.name, **reference},
        *(
            {
                "curve": curve.name,
                "place": level.shift * shift,
                "value": level.against_least.value,
                "low": level.against_least.low,
                "high": level.against_least.high,
                "reference": False,
            }
            for level in compared
        ),
    ]

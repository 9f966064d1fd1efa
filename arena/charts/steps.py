"""The step curves: how probably fewer steps are preferred to the most of the same checkpoint, and what they cost."""

from collections.abc import Sequence
from typing import Any

from arena.charts.rendering import Chart, Size, Spec, Theme
from arena.charts.words import described, ends, evidence
from arena.curves import Curve
from arena.leaderboard import CriterionResults
from arena.not_worse import USUAL, Margin
from arena.shortening import FIRST_CURVES, MOST_CURVES
from generation.schedules import steps_in_words

_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
_BESIDE = 1.04


def steps_chart(results: CriterionResults, curves: Sequence[Curve], margin: Margin = USUAL) -> Chart | None:
    """None where no checkpoint has two step counts that can be compared yet."""
    drawn = [curve for curve in curves if any(level.against_most.value is not None for level in curve.levels[:-1])]
    if not drawn:
        return None
    # More lines than these could not be told apart.
    pictured = drawn if len(drawn) <= MOST_CURVES else drawn[:FIRST_CURVES]
    left_out = f"\u00a0· drawn: {len(pictured)} of {len(drawn)} checkpoints" if len(pictured) < len(drawn) else ""
    return Chart(
        name=f"steps-{results.criterion.key}",
        title=tuple(curve.finding for curve in pictured),
        subtitle=f"{evidence(results)}{left_out}\u00a0· shaded: worse by at most {margin.points} points",
        description=" ".join(
            described(
                f"{curve.name}, probability of being preferred to its {curve.reference.steps} steps",
                [(steps_in_words(level.steps), level.against_most) for level in curve.levels[:-1]],
            )
            for curve in pictured
        ),
        draw=lambda theme, size: _draw(pictured, margin.value, theme, size),
        data=[
            (
                *("curve", "steps", "preferred_to_most_steps", "low", "high", "evaluations", "seconds_an_image"),
                *("most_steps_win_at_most", "margin", "fewest_steps_not_worse"),
            ),
            *(
                (
                    *(curve.name, level.steps, *ends(level.against_most), level.evaluations, level.seconds),
                    *(level.loses_at_most, margin.value, _fewest(curve)),
                )
                for curve in drawn
                for level in curve.levels
            ),
        ],
        choice=margin.choice,
    )


def _fewest(curve: Curve) -> int | None:
    """The most themselves where no fewer will do."""
    return (curve.fewest.steps or curve.reference.steps) if curve.fewest else None


def _draw(curves: Sequence[Curve], margin: float, theme: Theme, size: Size) -> Spec:
    values = [value for index, curve in enumerate(curves) for value in _points(curve, index - (len(curves) - 1) / 2)]
    steps = sorted({level.steps for curve in curves for level in curve.levels})
    x = {
        "field": "place",
        "type": "quantitative",
        "title": "sampling steps, logarithmic",
        "scale": {"type": "log", "base": 2, "domain": [steps[0] / 1.1, steps[-1] * 1.1], "nice": False},
        "axis": {"values": steps, "format": "d", "grid": False, "labelOverlap": False},
    }
    preference = {
        "layer": [
            {
                "data": {"values": [{}]},
                "mark": {"type": "rect", "color": theme.muted, "opacity": 0.14},
                "encoding": {"y": {"datum": 0.5 - margin, "type": "quantitative"}, "y2": {"datum": 0.5}, "x": None},
            },
            {
                "data": {"values": [{}]},
                "mark": {"type": "rule", "strokeDash": [4, 3], "color": theme.muted},
                "encoding": {"y": {"datum": 0.5, "type": "quantitative"}, "x": None},
            },
            *curve_marks([curve.name for curve in curves], _share(values), theme, size),
        ]
    }
    return {
        "height": (250 if size.is_narrow else 330) + (18 * len(curves) if size.is_narrow else 24),
        "data": {"values": values},
        "encoding": {"x": x},
        "layer": [preference, *_seconds(values, theme)],
        "resolve": {"scale": {"y": "independent"}},
    }


def _seconds(values: list[dict[str, Any]], theme: Theme) -> list[Spec]:
    """How long an image takes, as dashed lines on an axis of their own at the right; nothing where none was timed."""
    if not any(value["seconds"] for value in values):
        return []
    y = {
        "field": "seconds",
        "type": "quantitative",
        "title": "seconds an image (dashed)",
        "scale": {"domainMin": 0},
        "axis": {"orient": "right", "grid": False, "ticks": False, "tickCount": 4},
    }
    line = {"type": "line", "strokeDash": [2, 3], "strokeWidth": 1.5, "color": theme.muted}
    timed = [{"filter": "isValid(datum.seconds)"}]
    return [{"transform": timed, "mark": line, "encoding": {"y": y, "detail": {"field": "curve", "type": "nominal"}}}]


def curve_marks(names: list[str], y: Spec, theme: Theme, size: Size) -> list[Spec]:
    """Bands, lines, intervals, points, and the reference as an open diamond."""
    kinds = range(len(names))
    legend = {"symbolOpacity": 1, **({"columns": 1} if size.is_narrow else {})}
    curve = {"field": "curve", "type": "nominal", "title": None, "legend": legend}
    colours = [theme.series[index % len(theme.series)] for index in kinds]
    shapes = [_SHAPES[index % len(_SHAPES)] for index in kinds]
    colour = {**curve, "scale": {"domain": names, "range": colours}}
    shape = {**curve, "scale": {"domain": names, "range": shapes}}
    estimate = {"y": {**y, "field": "value"}, "color": colour}
    interval = {"y": {**y, "field": "low"}, "y2": {"field": "high"}, "color": colour}
    certain = [{"filter": "isValid(datum.low)"}]
    compared = [{"filter": "!datum.reference"}]
    return [
        {"transform": certain, "mark": {"type": "area", "opacity": 0.16}, "encoding": interval},
        {"mark": {"type": "line", "strokeWidth": 2}, "encoding": estimate},
        {"transform": certain + compared, "mark": {"type": "rule", "strokeWidth": 1.5}, "encoding": interval},
        {
            "transform": compared,
            "mark": {"type": "point", "filled": True, "size": 80, "opacity": 1},
            "encoding": {**estimate, "shape": shape},
        },
        {
            "transform": [{"filter": "datum.reference"}],
            "mark": {"type": "point", "filled": False, "shape": "diamond", "size": 110, "strokeWidth": 2},
            "encoding": estimate,
        },
    ]


def _share(values: list[dict[str, Any]]) -> Spec:
    top = max(0.65, *(value["high"] or value["value"] for value in values))
    return {
        "type": "quantitative",
        "title": "preferred to the most steps",
        "scale": {"domain": [0, min(1.0, top + 0.02)], "nice": False},
        "axis": {"format": ".0%", "tickCount": 6, "grid": True, "ticks": False},
    }


def _points(curve: Curve, shift: float) -> list[dict[str, Any]]:
    """Levels that can be compared, then the reference itself, which is even with itself by definition.

    Curves stand a little beside one another, or equal points would hide.
    """
    values: list[dict[str, Any]] = [
        {
            "curve": curve.name,
            "place": level.steps * _BESIDE**shift,
            "value": level.against_most.value,
            "low": level.against_most.low,
            "high": level.against_most.high,
            "seconds": level.seconds,
            "reference": False,
        }
        for level in curve.levels[:-1]
        if level.against_most.value is not None
    ]
    even = 0.5 if values[-1]["low"] is not None else None
    place = curve.reference.steps * _BESIDE**shift
    reference = {"curve": curve.name, "place": place, "value": 0.5, "low": even, "high": even, "reference": True}
    return [*values, {**reference, "seconds": curve.reference.seconds}]

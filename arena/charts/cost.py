"""Preference against seconds an image, and the contenders that nobody beats in both."""

from collections.abc import Sequence

from arena.charts.rendering import Chart, Size, Spec, Theme
from arena.charts.words import described, ends, evidence
from arena.costs import Priced
from arena.leaderboard import CriterionResults

_KINDS = ("on the front", "beaten in both")
_MOST_NAMED = 12


def cost_chart(results: CriterionResults, points: Sequence[Priced]) -> Chart | None:
    """None where fewer than three contenders have a time, or all take the same."""
    if len(points) < 3 or len({point.seconds for point in points}) == 1 or results.baseline is None:
        return None
    front = [point for point in points if point.is_efficient]
    count = f"{len(front)} of {len(points)} contenders"
    baseline = results.baseline.label
    return Chart(
        name=f"cost-{results.criterion.key}",
        title=(f"{count} {'is' if len(front) == 1 else 'are'} not beaten in both speed and preference",),
        subtitle=evidence(results),
        description=described(
            f"Preferred to {baseline}, by seconds an image",
            [(f"{point.row.label}, {point.seconds:.3g} s", point.preferred) for point in points],
        ),
        draw=lambda theme, size: _draw(points, theme, size),
        data=[
            ("contender", "seconds_an_image", "preferred_to_baseline", "low", "high", "on_front"),
            *(
                (point.row.label, point.seconds, *ends(point.preferred), "yes" if point.is_efficient else "no")
                for point in points
            ),
        ],
    )


def _draw(points: Sequence[Priced], theme: Theme, size: Size) -> Spec:
    middle = (points[0].seconds * points[-1].seconds) ** 0.5
    values = [
        {
            "label": point.row.label,
            "seconds": point.seconds,
            "value": point.preferred.value,
            "low": point.preferred.low,
            "high": point.preferred.high,
            "kind": _KINDS[0] if point.is_efficient else _KINDS[1],
            "is_right": point.seconds > middle,
        }
        for point in points
    ]
    kind = {"field": "kind", "type": "nominal", "title": None, "legend": {"symbolOpacity": 1}}
    colour = {**kind, "scale": {"domain": list(_KINDS), "range": [theme.better, theme.muted]}}
    shape = {**kind, "scale": {"domain": list(_KINDS), "range": ["diamond", "circle"]}}
    y = {
        "type": "quantitative",
        "title": "preferred to the baseline",
        "scale": {"domain": [0, 1], "nice": False},
        "axis": {"format": ".0%", "tickCount": 6, "ticks": False},
    }
    x = {
        "field": "seconds",
        "type": "quantitative",
        "title": "seconds an image, logarithmic",
        "scale": {
            "type": "log",
            "domain": [points[0].seconds / 1.2, points[-1].seconds * 1.2],
            "nice": False,
        },
        "axis": {"format": "~g", "tickCount": 5, "grid": False},
    }
    front = [{"filter": f"datum.kind === '{_KINDS[0]}'"}]
    return {
        "height": 290 if size.is_narrow else 360,
        "data": {"values": values},
        "encoding": {"x": x},
        "layer": [
            {
                "data": {"values": [{}]},
                "mark": {"type": "rule", "strokeDash": [4, 3], "color": theme.muted},
                "encoding": {"y": {"datum": 0.5, "type": "quantitative"}, "x": None},
            },
            {
                "transform": front,
                "mark": {"type": "line", "interpolate": "step-after", "color": theme.better, "opacity": 0.5},
                "encoding": {"y": {**y, "field": "value"}},
            },
            {
                "transform": [{"filter": "isValid(datum.low)"}],
                "mark": {"type": "rule", "strokeWidth": 1.5, "opacity": 0.7},
                "encoding": {"y": {**y, "field": "low"}, "y2": {"field": "high"}, "color": colour},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
                "encoding": {"y": {**y, "field": "value"}, "color": colour, "shape": shape},
            },
            *(_names(y, front, theme) if len(points) <= _MOST_NAMED and not size.is_narrow else []),
        ],
    }


def _names(y: Spec, front: list[dict[str, str]], theme: Theme) -> list[Spec]:
    """Of those on the front, beside their points towards the middle."""
    return [
        {
            "transform": [*front, {"filter": f"datum.is_right === {is_right}"}],
            "mark": {"type": "text", "align": align, "dx": shift, "dy": -9, "fontSize": 11, "color": theme.muted},
            "encoding": {"y": {**y, "field": "value"}, "text": {"field": "label"}},
        }
        for is_right, align, shift in (("false", "left", 8), ("true", "right", -8))
    ]

"""A metric against strength: one point a contender, with the interval of its strength."""

from collections.abc import Sequence
from typing import Any

from arena.automatic_metrics import MetricCorrelation, board_of
from arena.charts.rendering import Chart, Size, Spec, Theme
from arena.charts.words import ends, evidence
from arena.leaderboard import CriterionResults, Row

_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
_MOST_NAMED = 10


def scatter_chart(results: CriterionResults, correlation: MetricCorrelation) -> Chart | None:
    """None where fewer than three contenders have both."""
    column = correlation.column
    rows = [row for row in board_of(results) if row.contender.pk in column.values]
    if correlation.found is None:
        return None
    points = "; ".join(
        f"{row.label} {column.values[row.contender.pk].text}, strength {row.strength.number}" for row in rows
    )
    return Chart(
        name=f"metric-{column.key}-{results.criterion.key}",
        title=(_seen(correlation),),
        subtitle=evidence(results),
        description=f"{column.title} and log strength: {points}.",
        draw=lambda theme, size: _draw(rows, correlation, theme, size),
        data=[
            ("contender", column.name, "log_strength", "low", "high"),
            *((row.label, column.values[row.contender.pk].value, *ends(row.strength)) for row in rows),
        ],
    )


def _seen(correlation: MetricCorrelation) -> str:
    title, found = _inside(correlation.column.title), correlation.interval
    side = found.side_of(0)
    numbers = f"r = {found.number}, {correlation.found.n if correlation.found else 0} contenders"
    if side is None:
        return f"Too few contenders to link {title} and strength: {numbers}"
    if side == 0:
        return f"No sure link between {title} and strength: {numbers}"
    return f"Strength {'rises' if side > 0 else 'falls'} with {title}: {numbers}"


def _inside(title: str) -> str:
    """A title inside a sentence: "picture checker", but "CLIP score"."""
    return title[0].lower() + title[1:] if title[1:2].islower() else title


def _draw(rows: Sequence[Row], correlation: MetricCorrelation, theme: Theme, size: Size) -> Spec:
    values = [_point(row, correlation) for row in rows]
    groups = list(dict.fromkeys(value["group"] for value in values))
    has_steps = len(groups) < len(values)
    left, right = _ends([value["metric"] for value in values])
    for value in values:
        value["label"] = value["steps"] if has_steps and value["steps"] else value["label"]
        value["is_right"] = value["metric"] > (left + right) / 2
    hues = [theme.series[index % len(theme.series)] for index in range(len(groups))]
    shapes = [_SHAPES[index % len(_SHAPES)] for index in range(len(groups))]
    legend = {"symbolOpacity": 1, **({"columns": 1} if size.is_narrow else {})} if len(groups) > 1 else None
    group = {"field": "group", "type": "nominal", "title": None, "legend": legend}
    colour = {**group, "scale": {"domain": groups, "range": hues}}
    shape = {**group, "scale": {"domain": groups, "range": shapes}}
    x = {
        "field": "metric",
        "type": "quantitative",
        "title": correlation.column.title,
        "scale": {"domain": [left, right], "nice": False},
        "axis": {"grid": True, "ticks": False, "tickCount": 4 if size.is_narrow else 6},
    }
    reach = _ends([value[end] for value in values for end in ("value", "low", "high") if value[end] is not None])
    y = {
        "type": "quantitative",
        "title": "log strength",
        "scale": {"domain": list(reach), "nice": False},
        "axis": {"ticks": False},
    }
    point = {"type": "point", "filled": True, "size": 80, "opacity": 1}
    return {
        "height": (250 if size.is_narrow else 330) + (18 * len(groups) if size.is_narrow else 24),
        "data": {"values": values},
        "encoding": {"x": x},
        "layer": [
            {
                "transform": [{"filter": "isValid(datum.low)"}],
                "mark": {"type": "rule", "strokeWidth": 1.5, "opacity": 0.7},
                "encoding": {"y": {**y, "field": "low"}, "y2": {"field": "high"}, "color": colour},
            },
            {"mark": point, "encoding": {"y": {**y, "field": "value"}, "color": colour, "shape": shape}},
            *(_names(y, theme) if len(values) <= _MOST_NAMED and not size.is_narrow else []),
        ],
    }


def _ends(numbers: Sequence[float]) -> tuple[float, float]:
    """Of an axis: a little beyond the smallest and the largest number."""
    room = 0.06 * (max(numbers) - min(numbers)) or 0.5
    return min(numbers) - room, max(numbers) + room


def _names(y: dict[str, Any], theme: Theme) -> list[Spec]:
    """Beside their points, towards the middle, so that none is cut off at an edge."""
    return [
        {
            "transform": [{"filter": f"datum.is_right === {is_right}"}],
            "mark": {"type": "text", "align": align, "dx": shift, "dy": -7, "fontSize": 11, "color": theme.muted},
            "encoding": {"y": {**y, "field": "value"}, "text": {"field": "label"}},
        }
        for is_right, align, shift in (("false", "left", 7), ("true", "right", -7))
    ]


def _point(row: Row, correlation: MetricCorrelation) -> dict[str, Any]:
    checkpoint, schedule = row.contender.recipe.checkpoint, row.contender.recipe.schedule
    return {
        "label": row.label,
        "steps": f"{schedule.steps} step{'s' if schedule.steps > 1 else ''}" if schedule else "",
        "group": checkpoint.name if checkpoint else "images from elsewhere",
        "metric": correlation.column.values[row.contender.pk].value,
        "value": row.strength.value,
        "low": row.strength.low,
        "high": row.strength.high,
    }

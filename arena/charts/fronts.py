"""Fronts: in which share of the resamples each contender was in which front, as one bar a contender."""

from typing import Any

from arena.charts.rendering import Chart, Size, Spec, Theme, label_axis
from arena.front_sorting import FrontRow, Fronts

NAME = "fronts"
_ROW_HEIGHT = 28
# From dark to light in the order of the fronts; later ones share the last.
_LIGHT = ("#00446B", "#0072B2", "#56B4E9", "#B7DDF3", "#D9DCDF")
_DARK = ("#D6EEFC", "#8FCDF2", "#3F9AD0", "#1F5F8A", "#4A4E53")


def fronts_chart(fronts: Fronts | None) -> Chart | None:
    """None where it is not known how firmly the fronts hold."""
    rows = [row for row in fronts.rows if row.shares] if fronts else []
    if fronts is None or not rows:
        return None
    names = ", ".join(criterion.name for criterion in fronts.criteria)
    return Chart(
        name=NAME,
        title=(_seen(rows),),
        subtitle=f"{names}\u00a0· share of {fronts.draws:,} resamples of raters and prompts in each front",
        description="Front of each contender: " + "; ".join(_described(row) for row in rows) + ".",
        draw=lambda theme, size: _draw(rows, theme, size),
        data=[
            ("contender", "front", *(f"share_in_front_{number}" for number in range(1, len(rows[0].shares) + 1))),
            *((row.label, row.front, *row.shares) for row in rows),
        ],
    )


def _seen(rows: list[FrontRow]) -> str:
    best = [row for row in rows if row.front == 1]
    if len(best) == len(rows):
        return "No contender is beaten on every question"
    if len(best) == 1:
        return f"{best[0].label} alone is in the first front"
    return f"{len(best)} of {len(rows)} contenders are in the first front"


def _described(row: FrontRow) -> str:
    return f"{row.label} {row.front}, in {row.held or 0:.0%} of the resamples"


def _draw(rows: list[FrontRow], theme: Theme, size: Size) -> Spec:
    labels = [row.label for row in rows]
    most = max(number for row in rows for number, share in enumerate(row.shares, 1) if share > 0)
    numbers = [str(number) for number in range(1, most + 1)]
    shades = _LIGHT if theme.name == "light" else _DARK
    colours = [shades[min(number, len(shades) - 1)] for number in range(most)]
    axis = label_axis(labels, most=150 if size.is_narrow else 300)
    return {
        "height": _ROW_HEIGHT * len(rows) + 96,
        "data": {"values": [value for row in rows for value in _values(row)]},
        "mark": {"type": "bar", "stroke": theme.surface, "strokeWidth": 1},
        "encoding": {
            "y": {"field": "label", "type": "nominal", "sort": labels, "title": None, "axis": axis},
            "x": {
                "field": "share",
                "type": "quantitative",
                "stack": "zero",
                "title": "share of the resamples",
                "scale": {"domain": [0, 1]},
                "axis": {"format": ".0%", "values": [0, 0.25, 0.5, 0.75, 1], "grid": True},
            },
            "color": {
                "field": "front",
                "type": "ordinal",
                "title": "front",
                "sort": numbers,
                "scale": {"domain": numbers, "range": colours},
                "legend": {"titleOrient": "left", "titlePadding": 8, "columnPadding": 16},
            },
            "order": {"field": "number", "type": "quantitative"},
        },
    }


def _values(row: FrontRow) -> list[dict[str, Any]]:
    return [
        {"label": row.label, "front": str(number), "number": number, "share": share}
        for number, share in enumerate(row.shares, 1)
        if share > 0
    ]

"""A board's charts: how its contenders stand now, and how that came to be."""

import math
from collections.abc import Sequence
from typing import Any, Final

from arena.board_page import BoardPage, BoardRow
from arena.charts.rendering import Chart, Size, Spec, Theme, label_axis
from arena.charts.words import described, ends, plural
from arena.leaderboard import Estimate

MOST_LINES: Final = 6
"""Contenders in the history: more lines than colours could not be told apart."""
MOST_BANDS: Final = 2
"""Contenders up to which bands are drawn: more of them cover one another."""
MOST_ROWS: Final = 60

_SHAPES: Final = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
_SHARES: Final = tuple(
    f"{name}{end}" for name in ("preferred_to_reference", "win", "tie", "loss") for end in ("", "_low", "_high")
)
_ROW_HEIGHT: Final = 24


def standing_chart(page: BoardPage) -> Chart | None:
    """Strengths with their intervals; None where none is estimated."""
    rows = [row for row in page.shown if row.strength.value is not None][:MOST_ROWS]
    if not rows or page.groups > 1:
        return None
    return Chart(
        name=f"standing-{page.question['key']}",
        title=(_finding(page),),
        subtitle=evidence(page),
        description=_description(rows),
        draw=lambda theme, size: _draw_standing(rows, theme, size),
        data=[
            ("place", "contender", "log_strength", "low", "high", "rank_low", "rank_high", "tier", "votes", *_SHARES),
            *(
                (row.place, row.label, *ends(row.strength), row.rank_low, row.rank_high, row.tier, row.votes)
                + _shares(row)
                for row in rows
            ),
        ],
    )


def _shares(row: BoardRow) -> tuple[float | None, ...]:
    """Against the reference, with intervals: half wins, and the three outcomes."""
    known = row.outcomes
    outcomes = (Estimate(),) * 3 if known is None else (known.win, known.tie, known.loss)
    return tuple(end for estimate in (row.against, *outcomes) for end in ends(estimate))


def history_chart(page: BoardPage) -> Chart | None:
    """Preference over the reference against date; None before there are two fits to compare."""
    reference = page.reference
    if reference is None or page.category is not None or len(page.history) < 2:
        return None
    lines = [row for row in page.shown if not row.is_reference and row.strength.value is not None][:MOST_LINES]
    points = {row.identity: _points(page, row, reference) for row in lines}
    lines = [row for row in lines if points[row.identity]]
    if not lines:
        return None
    hidden = sum(not row.is_reference for row in page.shown) - len(lines)
    return Chart(
        name=f"history-{page.question['key']}",
        title=(f"{lines[0].label} and others against {reference.label} over time",),
        subtitle=f"{page.question['name']}\u00a0· how probably each is preferred to {reference.label}\u00a0· "
        f"{plural(len(page.history), 'fit')}"
        + ("\u00a0· 95 % intervals" if len(lines) <= MOST_BANDS else "\u00a0· intervals stand in the CSV")
        + (f"\u00a0· {plural(hidden, 'weaker contender')} not drawn" if hidden > 0 else ""),
        description=described(
            f"Newest probability of being preferred to {reference.label}", [(row.label, row.against) for row in lines]
        ),
        draw=lambda theme, size: _draw_history(lines, points, theme, size),
        data=_history_data(page),
    )


def evidence(page: BoardPage) -> str:
    """The subtitle: question, category, how much was counted in how many studies."""
    parts = [page.question["name"]]
    if page.category:
        parts.append(f"category {page.category['name']}")
    parts += [
        plural(page.votes, "vote"),
        plural(page.raters, "rater"),
        plural(page.prompts, "prompt"),
        f"{len(page.studies)} {'study' if len(page.studies) == 1 else 'studies'}",
        "ties count half",
        "95 % intervals",
    ]
    return "\u00a0· ".join(parts)


def _finding(page: BoardPage) -> str:
    first = page.rows[0]
    level = [row.label for row in page.rows if row.tier == 1]
    if first.tier is None:
        return f"{first.label} leads; how surely cannot be told yet"
    if len(level) == 1:
        return f"{first.label} leads, clear of all {len(page.rows) - 1} others"
    return f"{first.label} leads; {plural(len(level) - 1, 'other')} may be as good"


def _description(rows: Sequence[BoardRow]) -> str:
    return "Log strengths, strongest first: " + "; ".join(f"{row.label} {row.strength.number}" for row in rows) + "."


def _draw_standing(rows: Sequence[BoardRow], theme: Theme, size: Size) -> Spec:
    labels = [row.label for row in rows]
    tiers = sorted({row.tier for row in rows if row.tier is not None})
    names = [f"tier {tier}" for tier in tiers] + (["no tier yet"] if any(row.tier is None for row in rows) else [])
    values = [
        {
            "label": row.label,
            "value": row.strength.value,
            "low": row.strength.low,
            "high": row.strength.high,
            "tier": "no tier yet" if row.tier is None else f"tier {row.tier}",
        }
        for row in rows
    ]
    legend: Spec = {"columns": 3} if size.is_narrow else {"columns": 6}
    tier = {"field": "tier", "type": "nominal", "title": None, "legend": legend}
    colours = [theme.series[place % len(theme.series)] for place in range(len(names))]
    hue = {**tier, "scale": {"domain": names, "range": colours}}
    shape = {**tier, "scale": {"domain": names, "range": [_SHAPES[n % len(_SHAPES)] for n in range(len(names))]}}
    axis = label_axis(labels, most=150 if size.is_narrow else 300)
    y = {"field": "label", "type": "nominal", "sort": labels, "title": None, "axis": axis}
    x = {"type": "quantitative", "title": "log strength, 0 is the average of the board", "scale": {"nice": True}}
    return {
        "height": _ROW_HEIGHT * len(rows) + 70 + 18 * -(-len(names) // (3 if size.is_narrow else 6)),
        "data": {"values": values},
        "encoding": {"y": y},
        "layer": [
            {
                "transform": [{"filter": "isValid(datum.low)"}],
                "mark": {"type": "rule", "strokeWidth": 2},
                "encoding": {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "color": hue},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
                "encoding": {"x": {**x, "field": "value"}, "color": hue, "shape": shape},
            },
        ],
    }


def _points(page: BoardPage, row: BoardRow, reference: BoardRow) -> list[dict[str, Any]]:
    """Share against today's reference at each fit that had both; its interval where it was the reference then too."""
    points = []
    for moment in page.history:
        own, other = moment.standing.get(row.identity), moment.standing.get(reference.identity)
        if own is None or other is None or own[0] is None or other[0] is None:
            continue
        value = 1 / (1 + math.exp(other[0] - own[0]))
        is_same = own[5] is not None and abs(value - own[5]) < 1e-9
        low, high = (own[6], own[7]) if is_same else (None, None)
        at = moment.at.isoformat()
        points.append({"label": row.label, "at": at, "value": value, "low": low, "high": high})
    return points


def _draw_history(lines: Sequence[BoardRow], points: dict[str, list[dict[str, Any]]], theme: Theme, size: Size) -> Spec:
    names = [row.label for row in lines]
    values = [point for row in lines for point in points[row.identity]]
    ends_of = [
        value for point in values for value in (point["value"], point["low"], point["high"]) if value is not None
    ]
    low, high = max(0.0, min(0.45, *ends_of) - 0.03), min(1.0, max(0.55, *ends_of) + 0.03)
    y = {
        "type": "quantitative",
        "title": "preferred to the reference",
        "scale": {"domain": [low, high], "nice": False},
        "axis": {"format": ".0%", "tickCount": 6, "grid": True, "ticks": False},
    }
    legend: Spec = {"symbolOpacity": 1, "columns": 1 if size.is_narrow else 3}
    curve = {"field": "label", "type": "nominal", "title": None, "legend": legend}
    hue = {**curve, "scale": {"domain": names, "range": list(theme.series[: len(names)])}}
    shape = {**curve, "scale": {"domain": names, "range": list(_SHAPES[: len(names)])}}
    x = {
        "field": "at",
        "type": "temporal",
        "title": "date of the fit",
        "axis": {"format": "%-d %b", "grid": False, "tickCount": 4 if size.is_narrow else 7, "labelOverlap": True},
    }
    even = {"type": "rule", "strokeDash": [4, 3], "color": theme.muted}
    return {
        "height": 320 + 20 * (len(names) if size.is_narrow else -(-len(names) // 3)),
        "data": {"values": values},
        "encoding": {"x": x},
        "layer": [
            {"data": {"values": [{}]}, "mark": even, "encoding": {"y": {"datum": 0.5, **y}, "x": None}},
            {
                "transform": [{"filter": f"isValid(datum.low) && {str(len(names) <= MOST_BANDS).lower()}"}],
                "mark": {"type": "area", "opacity": 0.12},
                "encoding": {"y": {**y, "field": "low"}, "y2": {"field": "high"}, "color": hue},
            },
            {"mark": {"type": "line", "strokeWidth": 2}, "encoding": {"y": {**y, "field": "value"}, "color": hue}},
            {
                "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1},
                "encoding": {"y": {**y, "field": "value"}, "color": hue, "shape": shape},
            },
        ],
    }


def _history_data(page: BoardPage) -> list[tuple[object, ...]]:
    """Every shown contender at every fit, drawn or not."""
    labels = {row.identity: row.label for row in page.shown}
    head = ("fitted_at", "votes", "studies", "contender", "log_strength", "low", "high", "rank_low", "rank_high")
    shares = ("preferred_to_reference_then", "share_low", "share_high")
    rows: list[tuple[object, ...]] = [(*head, *shares)]
    for moment in page.history:
        for identity, standing in moment.standing.items():
            if identity in labels:
                rows.append((moment.at.isoformat(), moment.votes, moment.studies, labels[identity], *standing))
    return rows

"""The forest plot: every contender's probability of being preferred to the baseline, with its interval."""

from typing import Any

from arena.charts.rendering import Chart, Size, Spec, Theme, label_axis
from arena.charts.words import described, ends, evidence
from arena.leaderboard import CriterionResults, Row
from arena.shortening import shown_rows

_VERDICTS = {
    1: "preferred",
    0: "cannot be told apart",
    -1: "less preferred",
    None: "no interval yet",
}
_BASELINE = "baseline"
_SHAPES = {
    _VERDICTS[1]: "triangle-right",
    _VERDICTS[0]: "circle",
    _VERDICTS[-1]: "triangle-left",
    _VERDICTS[None]: "cross",
    _BASELINE: "diamond",
}
_ROW_HEIGHT = 28


def forest_chart(results: CriterionResults) -> Chart | None:
    """None where nothing can be compared with the baseline yet."""
    baseline = results.baseline
    rows = [row for row in results.rows if row.against_baseline.value is not None]
    if baseline is None or not rows:
        return None
    drawn = [row for row in shown_rows(results.rows) if row.against_baseline.value is not None]
    left_out = f"\u00a0· drawn: {len(drawn)} of {len(rows):,}" if len(drawn) < len(rows) else ""
    return Chart(
        name=f"forest-{results.criterion.key}",
        title=(_seen(rows, baseline, few="comparable " if results.apart else ""),),
        subtitle=evidence(results) + left_out,
        description=described(
            f"Probability of being preferred to {baseline.label}", [(row.label, row.against_baseline) for row in drawn]
        ),
        draw=lambda theme, size: _draw(drawn, baseline, theme, size),
        data=[
            ("contender", "preferred_to_baseline", "low", "high", "baseline", "votes"),
            *((row.label, *ends(row.against_baseline), baseline.label, row.votes) for row in rows),
        ],
    )


def _seen(rows: list[Row], baseline: Row, *, few: str) -> str:
    sides = [row.against_baseline.side for row in rows]
    if None in sides:
        return f"Win probability against {baseline.label}; intervals need more raters"
    if not any(sides):
        return f"No contender can be told apart from {baseline.label} yet"
    groups = (
        (sides.count(1), f"preferred to {baseline.label}", "preferred"),
        (sides.count(-1), f"less preferred than {baseline.label}", "less preferred"),
        (sides.count(0), f"not to be told apart from {baseline.label}", "not to be told apart"),
    )
    (count, verdict, _), *others = [group for group in groups if group[0]]
    who = rows[0].label if len(rows) == 1 else f"{count} of {len(rows)} {few}contenders"
    return ", ".join([f"{who} {'is' if count == 1 else 'are'} {verdict}", *(f"{n} {short}" for n, _, short in others)])


def _draw(rows: list[Row], baseline: Row, theme: Theme, size: Size) -> Spec:
    values = [_value(row) for row in rows]
    values.append({"label": baseline.label, "value": 0.5, "verdict": _BASELINE, "votes": f"{baseline.votes:,}"})
    values.sort(key=lambda value: -value["value"])
    labels = [value["label"] for value in values]
    found = {value["verdict"] for value in values}
    verdicts = [verdict for verdict in (*_VERDICTS.values(), _BASELINE) if verdict in found]
    y = {
        "field": "label",
        "type": "nominal",
        "sort": labels,
        "title": None,
        "axis": label_axis(labels, most=150 if size.is_narrow else 300),
    }
    return {
        "height": _ROW_HEIGHT * len(values) + (60 + 18 * len(verdicts) if size.is_narrow else 84),
        "data": {"values": values},
        "encoding": {"y": y},
        "layer": [_even_line(theme), *_intervals(verdicts, theme, size), *_vote_column(theme)],
    }


def _even_line(theme: Theme) -> Spec:
    return {
        "data": {"values": [{}]},
        "mark": {"type": "rule", "strokeDash": [4, 3], "color": theme.muted},
        "encoding": {"x": {"datum": 0.5, "type": "quantitative"}, "y": None},
    }


def _intervals(verdicts: list[str], theme: Theme, size: Size) -> list[Spec]:
    colours = dict(zip(_VERDICTS.values(), (theme.better, theme.muted, theme.worse, theme.muted), strict=True))
    legend = {"columns": 1} if size.is_narrow else {}
    verdict = {"field": "verdict", "type": "nominal", "title": None, "legend": legend}
    hue = {**verdict, "scale": {"domain": verdicts, "range": [colours.get(each, theme.text) for each in verdicts]}}
    shape = {**verdict, "scale": {"domain": verdicts, "range": [_SHAPES[each] for each in verdicts]}}
    return [
        {
            "transform": [{"filter": "isValid(datum.low)"}],
            "mark": {"type": "rule", "strokeWidth": 2},
            "encoding": {"x": _share("low", size), "x2": {"field": "high"}, "color": hue},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
            "encoding": {"x": _share("value", size), "color": hue, "shape": shape},
        },
    ]


def _vote_column(theme: Theme) -> list[Spec]:
    text = {"type": "text", "align": "right", "color": theme.muted, "fontSize": 11}
    right = {"value": "width"}
    return [
        {
            "data": {"values": [{}]},
            "mark": {**text, "y": -8},
            "encoding": {"x": right, "y": None, "text": {"value": "votes"}},
        },
        {"mark": text, "encoding": {"x": right, "text": {"field": "votes"}}},
    ]


def _value(row: Row) -> dict[str, Any]:
    against = row.against_baseline
    return {
        "label": row.label,
        "value": against.value,
        "low": against.low,
        "high": against.high,
        "verdict": _VERDICTS[against.side],
        "votes": f"{row.votes:,}",
    }


def _share(field: str, size: Size) -> dict[str, Any]:
    # A little past 100 % so that the column of votes stands clear of the intervals.
    return {
        "field": field,
        "type": "quantitative",
        "title": "preferred to the baseline",
        "scale": {"domain": [0, 1.2 if size.is_narrow else 1.1], "nice": False},
        "axis": {"format": ".0%", "values": [0, 0.25, 0.5, 0.75, 1], "grid": True},
    }

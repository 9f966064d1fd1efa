"""The matrix: how probably the contender of a row is preferred to the contender of a column."""

from itertools import combinations, product
from typing import Any

from arena.charts.rendering import Chart, Size, Spec, Theme, label_axis
from arena.charts.words import described, ends, evidence
from arena.leaderboard import CriterionResults

# Three strokes across a cell, in the units of a Vega symbol: pairs whose interval holds 50 %.
_HATCH = "M-1,0L0,-1M-1,1L1,-1M0,1L1,0"


def matrix_chart(results: CriterionResults) -> Chart | None:
    """None where no two contenders can be compared yet, or there are too many for a picture."""
    if not results.lists_pairs:
        return None
    pairs = [
        (one, other, results.matrix[one][other])
        for one, other in combinations(range(len(results.rows)), 2)
        if results.matrix[one][other].value is not None
    ]
    if not pairs:
        return None
    sides = [estimate.side for _, _, estimate in pairs]
    apart = sum(side in (1, -1) for side in sides)
    pair_word = "pair" if len(pairs) == 1 else "pairs"
    if None in sides:
        title = f"Win probabilities of {len(pairs)} {pair_word}; intervals need more raters"
    else:
        title = f"{apart} of {len(pairs)} {pair_word} can be told apart, each looked at by itself"
        if together := results.pairs_apart:
            # What the trust panel says of the same pairs: a reader who looks at all of them at once needs that one.
            title = f"{together[0]} of {together[1]} {pair_word} can be told apart all at once, {apart} each by itself"
    return Chart(
        name=f"matrix-{results.criterion.key}",
        title=(title,),
        subtitle=evidence(results),
        description=described(
            "Probability that the first is preferred to the second",
            [(f"{results.rows[one].label} to {results.rows[other].label}", estimate) for one, other, estimate in pairs],
        ),
        draw=lambda theme, size: _draw(results, theme, size),
        data=[
            ("contender", "against", "win_probability", "low", "high", "observed_share", "votes"),
            *(_line(results, one, other) for one, other in product(range(len(results.rows)), repeat=2) if one != other),
        ],
    )


def _line(results: CriterionResults, one: int, other: int) -> tuple[object, ...]:
    rows = results.rows
    seen = results.observed(rows[one].contender, rows[other].contender)
    told = (seen.share if seen.votes else None, seen.votes) if seen else (None, None)
    return rows[one].label, rows[other].label, *ends(results.matrix[one][other]), *told


def _draw(results: CriterionResults, theme: Theme, size: Size) -> Spec:
    labels = [row.label for row in results.rows]
    cells = product(range(len(labels)), repeat=2)
    axis = {**label_axis(labels, most=120 if size.is_narrow else 200), "grid": False}
    room = axis["minExtent"]
    side = max(16, min(38, (size.width - room - 16) // len(labels)))
    slant = {"labelAngle": -90} if size.is_narrow else {"labelAngle": -60, "labelAlign": "left"}
    place = {
        "type": "nominal",
        "sort": labels,
        "title": None,
        "scale": {"domain": labels, "paddingInner": 0.04},
    }
    return {
        "height": side * len(labels) + room + 24,
        # The last column's slanted label leans out to the right.
        "padding": {"left": 4, "top": 4, "bottom": 4, "right": 4 if size.is_narrow else max(4, room // 2 - 16)},
        "data": {"values": [value for one, other in cells if (value := _cell(results, one, other))]},
        "encoding": {
            "x": {**place, "field": "column", "axis": {**axis, **slant, "orient": "top"}},
            "y": {**place, "field": "row", "axis": axis},
        },
        "layer": [
            {"mark": "rect", "encoding": {"color": _shade(theme)}},
            _hatching(side, theme),
            _numbers(side, theme),
        ],
    }


def _hatching(side: int, theme: Theme) -> Spec:
    return {
        "transform": [{"filter": "datum.apart === 0"}],
        "mark": {
            "type": "point",
            "shape": _HATCH,
            "size": (0.9 * side) ** 2,
            "strokeWidth": 0.6,
            "filled": False,
            "opacity": 0.6,
        },
        "encoding": {"color": _legible(theme.muted)},
    }


def _numbers(side: int, theme: Theme) -> Spec:
    return {
        "mark": {"type": "text", "fontSize": 9 if side < 28 else 12},
        "encoding": {"text": {"field": "percent"}, "color": _legible(theme.text)},
    }


def _cell(results: CriterionResults, one: int, other: int) -> dict[str, Any] | None:
    estimate = results.matrix[one][other]
    if estimate.value is None:
        return None
    return {
        "row": results.rows[one].label,
        "column": results.rows[other].label,
        "share": estimate.value,
        "percent": estimate.whole_percent.removesuffix(" %"),
        "apart": abs(estimate.side or 0),
        "deep": abs(estimate.value - 0.5) > 0.3,
    }


def _legible(colour: str) -> dict[str, Any]:
    """The colour, or white where the cell behind it is dark."""
    return {"condition": {"test": "datum.deep", "value": "#ffffff"}, "value": colour}


def _shade(theme: Theme) -> dict[str, Any]:
    return {
        "field": "share",
        "type": "quantitative",
        "scale": {"domain": [0, 0.5, 1], "range": ["#B34F00", theme.surface, "#005A8F"], "interpolate": "lab"},
        "legend": None,
    }

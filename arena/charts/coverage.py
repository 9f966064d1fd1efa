"""Coverage: how many ballots each pair of contenders has on each prompt, as a heat map."""

from os.path import commonprefix

from arena.charts.rendering import Chart, Size, Spec, Theme, label_axis
from arena.charts.words import plural
from arena.live_progress import Coverage

NAME = "coverage"
MOST_PAIRS = 120
MOST_ROWS = 36
"""A row a pair up to so many; beyond them a row a contender, or the chart is taller than any screen."""


def coverage_chart(coverage: Coverage) -> Chart | None:
    """None where nothing was shown yet, or pairs are too many for a chart."""
    if not coverage.most or coverage.unlisted or len(coverage.rows) > MOST_PAIRS:
        return None
    what = "pairs on a prompt" if coverage.by_prompt else "pairs"
    return Chart(
        name=NAME,
        title=(
            f"{coverage.cells - coverage.empty:,} of {coverage.cells:,} {what} have been shown, "
            f"{'none more than once' if coverage.most == 1 else f'at most {coverage.most:,} times'}",
        ),
        subtitle=f"ballots open or answered, by people\u00a0· {plural(coverage.prompts, 'prompt')} from left to right"
        if coverage.by_prompt
        else "ballots open or answered, by people",
        description="Ballots by pair: " + "; ".join(f"{row.label} {row.total:,}" for row in coverage.rows) + ".",
        draw=lambda theme, size: _draw(coverage, theme, size),
        data=[
            ("contender", "other", "prompt", "ballots"),
            *(
                (row.one.label, row.other.label, place + 1 if coverage.by_prompt else "all", count)
                for row in coverage.rows
                for place, count in enumerate(row.counts)
            ),
        ],
    )


def _draw(coverage: Coverage, theme: Theme, size: Size) -> Spec:
    common = _common({each.label for row in coverage.rows for each in (row.one, row.other)})
    labels = [f"{row.one.label[common:]} · {row.other.label[common:]}" for row in coverage.rows]
    if len(labels) > MOST_ROWS:
        return _by_contender(coverage, theme, size)
    values = [
        {"row": label, "prompt": place + 1, "value": count}
        for label, row in zip(labels, coverage.rows, strict=True)
        for place, count in enumerate(row.counts)
    ]
    height = max(3, len(labels)) * 16 + 96
    colour = {
        "title": "ballots",
        "scale": {"domain": [0, coverage.most], "range": [theme.surface, theme.better]},
        "legend": {"gradientLength": 120, "tickMinStep": 1},
    }
    return _heat_map(values, labels, colour, height=height, has_prompts=coverage.by_prompt, size=size)


def _by_contender(coverage: Coverage, theme: Theme, size: Size) -> Spec:
    """Which share of a contender's pairs has been shown, on each prompt."""
    shown: dict[str, list[list[bool]]] = {}
    for row in coverage.rows:
        for each in (row.one, row.other):
            shown.setdefault(each.label, []).append([count > 0 for count in row.counts])
    values = [
        {"row": label, "prompt": place + 1, "value": sum(column) / len(column)}
        for label, pairs in shown.items()
        for place, column in enumerate(zip(*pairs, strict=True))
    ]
    colour = {
        "title": "its pairs shown",
        "scale": {"domain": [0, 1], "range": [theme.surface, theme.better]},
        "legend": {"gradientLength": 120, "format": ".0%"},
    }
    height = len(shown) * 20 + 96
    return _heat_map(values, list(shown), colour, height=height, has_prompts=coverage.by_prompt, size=size)


def _heat_map(
    values: list[Spec], labels: list[str], colour: Spec, *, height: int, has_prompts: bool, size: Size
) -> Spec:
    axis = {"labels": False, "ticks": False}
    rows = {**label_axis(labels, most=130 if size.is_narrow else 300), "grid": False}
    return {
        "height": height,
        "data": {"values": values},
        "mark": {"type": "rect"},
        "encoding": {
            "x": {"field": "prompt", "type": "ordinal", "title": "prompt" if has_prompts else None, "axis": axis},
            "y": {"field": "row", "type": "nominal", "sort": labels, "title": None, "axis": rows},
            "color": {"field": "value", "type": "quantitative", **colour},
        },
    }


def _common(labels: set[str]) -> int:
    """Letters that all labels begin with, up to the end of a word: two labels side by side leave no room for them."""
    start = commonprefix(list(labels))
    return max((start.rfind(end) + 1 for end in " -_/:"), default=0) if len(labels) > 1 else 0

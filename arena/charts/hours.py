"""Votes an hour: one bar an hour, votes of people and of others stacked."""

from arena.charts.rendering import Chart, Size, Spec, Theme
from arena.charts.words import plural
from arena.live_progress import Pace

NAME = "votes-per-hour"


def hours_chart(pace: Pace) -> Chart | None:
    """None where nobody has voted in these hours."""
    total = sum(hour.votes for hour in pace.hours)
    if not total:
        return None
    busiest = max(pace.hours, key=lambda hour: hour.votes)
    return Chart(
        name=NAME,
        title=(f"{plural(total, 'vote')} in {plural(len(pace.hours), 'hour')}, at most {busiest.votes:,} in one",),
        subtitle="answers of all questions by the hour they came, UTC\u00a0· skips left out"
        + ("\u00a0· the first hour in part" if pace.is_cut else ""),
        description="Votes by hour: "
        + "; ".join(f"{hour.begins:%H}:00 {hour.votes:,}" for hour in pace.hours if hour.votes)
        + ".",
        draw=lambda theme, size: _draw(pace, theme, size),
        data=[
            ("hour", "votes_by_people", "other_votes"),
            *((hour.begins.isoformat(), hour.people, hour.others) for hour in pace.hours),
        ],
    )


def _draw(pace: Pace, theme: Theme, size: Size) -> Spec:
    kinds = ["people", "simulated or anonymous"]
    values = [
        {"place": place, "hour": f"{hour.begins:%H}", "kind": kind, "votes": votes}
        for place, hour in enumerate(pace.hours)
        for kind, votes in zip(kinds, (hour.people, hour.others), strict=True)
    ]
    shown = kinds if any(hour.others for hour in pace.hours) else kinds[:1]
    every = 6 if size.is_narrow else 3
    names = {place: f"{hour.begins:%H}:00" for place, hour in enumerate(pace.hours) if hour.begins.hour % every == 0}
    label = " : ".join([*(f"datum.value == {place} ? '{name}'" for place, name in names.items()), "''"])
    return {
        "height": 180,
        "data": {"values": [value for value in values if value["kind"] in shown]},
        "mark": {"type": "bar"},
        "encoding": {
            "x": {
                "field": "place",
                "type": "ordinal",
                "title": "hour, UTC",
                "axis": {"labelAngle": 0, "labelExpr": label, "values": list(names), "ticks": False},
            },
            "y": {
                "field": "votes",
                "type": "quantitative",
                "title": "votes",
                "axis": {"tickMinStep": 1, "ticks": False},
            },
            "color": {
                "field": "kind",
                "type": "nominal",
                "title": None,
                "legend": {} if len(shown) > 1 else None,
                "scale": {"domain": shown, "range": [theme.better, theme.worse][: len(shown)]},
            },
        },
    }

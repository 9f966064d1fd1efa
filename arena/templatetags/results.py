"""What the results page needs beyond its values: the addresses of a chart in all its forms, and durations in words."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django import template
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.timesince import timesince

from arena.charts import Chart
from arena.charts.rendering import CONTENT_TYPES, DARK, LIGHT, NARROW, WIDE, Size, Theme
from arena.leaderboard import CriterionResults, Estimate, Row
from arena.models import Study
from generation.run_plans import duration_in_words, size_in_words

register = template.Library()

_PHONE = "(max-width: 40rem)"
_NIGHT = "(prefers-color-scheme: dark)"


@register.simple_tag
def chart_links(study: Study, chart: Chart) -> dict[str, Any]:
    """The picture for each kind of screen, and the files to download. An address changes when its picture does."""
    return links_of(chart, lambda suffix: reverse("arena:chart", args=[study.slug, chart.name, suffix]))


def links_of(chart: Chart, address: Callable[[str], str], query: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The same for a chart whose files have these addresses, by suffix; a query of their own goes along."""

    chosen = {**dict(chart.choice), **(query or {})}

    def picture(theme: Theme, size: Size) -> dict[str, Any]:
        width, height = chart.dimensions(size)
        looks = urlencode({**chosen, "theme": theme.name, "size": size.name, "v": chart.digest})
        return {"url": f"{address('svg')}?{looks}", "width": width, "height": height}

    def download(suffix: str) -> str:
        return f"{address(suffix)}?{urlencode(chosen)}" if chosen else address(suffix)

    return {
        "title": ". ".join(chart.title),
        "picture": picture(LIGHT, WIDE),
        "sources": [
            {"media": f"{_PHONE} and {_NIGHT}", **picture(DARK, NARROW)},
            {"media": _PHONE, **picture(LIGHT, NARROW)},
            {"media": _NIGHT, **picture(DARK, WIDE)},
        ],
        "downloads": [(suffix, download(suffix)) for suffix in (*CONTENT_TYPES, "csv")],
    }


@register.simple_tag
def matrix_body(results: CriterionResults, ballots_at: str) -> SafeString:
    """The lines of the matrix: predicted share, below it what was seen, linked to the votes behind it.

    Put together here, for a template takes a second over the 2,500 cells of fifty contenders.
    """
    address = f"{ballots_at}?{urlencode({'criterion': results.criterion.key})}"
    lines = []
    for row, cells in results.rows_with_cells:
        told = "".join(
            _cell(row, other, cell, results, address) for other, cell in zip(results.rows, cells, strict=True)
        )
        lines.append(f'<tr><th scope="row">{escape(row.label)}</th>{told}</tr>')
    return mark_safe("".join(lines))  # noqa: S308 labels are escaped, all else is numbers and our own words


def _cell(row: Row, other: Row, cell: Estimate, results: CriterionResults, address: str) -> str:
    looks = {1: ' class="better"', -1: ' class="worse"'}.get(cell.side or 0, "")
    seen = results.observed(row.contender, other.contender)
    told: str = escape(cell.percent)
    if seen is not None and seen.votes:
        target = escape(f"{address}&one={row.contender.pk}&other={other.contender.pk}")
        told = f'<a href="{target}">{told}</a><span class="seen">{seen.share:.0%} of {seen.votes:,}</span>'
    return f"<td{looks}>{told}</td>"


register.filter("duration", duration_in_words)
register.filter("size_in_words", size_in_words)


@register.filter
def ago(moment: datetime) -> str:
    """Such as "3 minutes ago"; within the last minute "just now"."""
    is_now = timezone.now() - moment < timedelta(minutes=1)
    return "just now" if is_now else f"{timesince(moment)} ago"


@register.filter
def share(value: float | None) -> str:
    """As a whole percentage: "62 %"; never 0 or 100 for a share that is neither."""
    return Estimate(value).whole_percent

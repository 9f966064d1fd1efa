"""What a board's page needs beyond its values: the addresses of its charts, and its own with another choice."""

from typing import Any
from urllib.parse import urlencode

from django import template
from django.urls import reverse

from arena.board_page import BoardPage, StudyLine
from arena.charts import Chart
from arena.leaderboard import Estimate
from arena.templatetags.results import links_of

register = template.Library()


@register.simple_tag
def board_chart_links(page: BoardPage, chart: Chart, address: str) -> dict[str, Any]:
    """The chart in all its forms, under the name of the view that draws it."""
    return links_of(
        chart, lambda suffix: reverse(address, args=[page.board.slug, chart.name, suffix]), page.filters.query
    )


@register.simple_tag
def board_query(page: BoardPage, key: str = "", category: str | None = None) -> str:
    """What stands behind the page's address for another question or category, the filters as they are."""
    query = {"criterion": key or page.question["key"], **page.filters.query}
    if category is not None:
        query["category"] = category
    return urlencode({name: value for name, value in query.items() if value})


@register.simple_tag
def own_strength(line: StudyLine, identity: str) -> Estimate:
    """A contender's strength by the votes of one study alone."""
    return line.own.get(identity, Estimate())

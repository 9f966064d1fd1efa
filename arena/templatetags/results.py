"""What the results page needs beyond its values: the addresses of a chart in all its forms, and durations in words."""

from typing import Any
from urllib.parse import urlencode

from django import template
from django.urls import reverse

from arena.charts import Chart
from arena.charts.rendering import CONTENT_TYPES, DARK, LIGHT, NARROW, WIDE, Size, Theme
from arena.leaderboard import Estimate
from arena.models import Study
from generation.run_plans import duration_in_words, size_in_words

register = template.Library()

_PHONE = "(max-width: 40rem)"
_NIGHT = "(prefers-color-scheme: dark)"


@register.simple_tag
def chart_links(study: Study, chart: Chart) -> dict[str, Any]:
    """The picture for each kind of screen, and the files to download. An address changes when its picture does."""

    def picture(theme: Theme, size: Size) -> dict[str, Any]:
        width, height = chart.dimensions(size)
        looks = urlencode({"theme": theme.name, "size": size.name, "v": chart.digest})
        return {"url": f"{_address(study, chart, 'svg')}?{looks}", "width": width, "height": height}

    return {
        "title": ". ".join(chart.title),
        "picture": picture(LIGHT, WIDE),
        "sources": [
            {"media": f"{_PHONE} and {_NIGHT}", **picture(DARK, NARROW)},
            {"media": _PHONE, **picture(LIGHT, NARROW)},
            {"media": _NIGHT, **picture(DARK, WIDE)},
        ],
        "downloads": [(suffix, _address(study, chart, suffix)) for suffix in CONTENT_TYPES],
    }


register.filter("duration", duration_in_words)
register.filter("size_in_words", size_in_words)


@register.filter
def share(value: float | None) -> str:
    """As a whole percentage: "62 %"; never 0 or 100 for a share that is neither."""
    return Estimate(value).whole_percent


def _address(study: Study, chart: Chart, suffix: str) -> str:
    return reverse("arena:chart", args=[study.slug, chart.name, suffix])

"""From a Vega-Lite specification to a finished file, and the colours and sizes all charts share."""

import csv
import hashlib
import io
import json
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final
from xml.sax.saxutils import escape

from django.core.cache import cache

Spec = dict[str, Any]
Table = Sequence[Sequence[object]]

CONTENT_TYPES: Final = {"svg": "image/svg+xml", "png": "image/png", "pdf": "application/pdf"}

_KEPT_SECONDS = 24 * 3600

# Pixels a letter takes at 12 px and, bold, at 16 px in a wide font such as DejaVu Sans. Texts are measured here with
# another font than the browser's, so room is left for the widest of the usual ones.
_LETTER = 7.4
_TITLE_LETTER = 10.4
_WIDER = 1.2
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


@dataclass(frozen=True)
class Theme:
    """Colours of one appearance. The three hues are of the Okabe-Ito palette, told apart with any colour vision."""

    name: str
    text: str
    muted: str
    grid: str
    surface: str
    better: str
    worse: str
    series: tuple[str, ...]


LIGHT: Final = Theme(
    name="light",
    text="#1d1f21",
    muted="#5c6166",
    grid="#e2e4e6",
    surface="#f4f5f6",
    better="#0072B2",
    worse="#D55E00",
    series=("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#000000"),
)
DARK: Final = Theme(
    name="dark",
    text="#eceef0",
    muted="#a6abb0",
    grid="#3a3d41",
    surface="#2a2c2f",
    better="#56B4E9",
    worse="#E69F00",
    series=("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#FFFFFF"),
)
THEMES: Final = {theme.name: theme for theme in (LIGHT, DARK)}


@dataclass(frozen=True)
class Size:
    """A chart's whole width in pixels; narrow ones are for phones."""

    name: str
    width: int

    @property
    def is_narrow(self) -> bool:
        return self.width < 500


WIDE: Final = Size("wide", 720)
NARROW: Final = Size("narrow", 358)
SIZES: Final = {size.name: size for size in (WIDE, NARROW)}


@dataclass(frozen=True)
class Chart:
    """A chart before it is drawn. `draw` makes the marks; title, subtitle and everything common are added here.

    data:   what is drawn as a table, its head first, for who draws it another way
    choice: what a reader chose about it, as parameters of its address
    """

    name: str
    title: tuple[str, ...]
    subtitle: str
    description: str
    draw: Callable[[Theme, Size], Spec]
    data: Table
    choice: tuple[tuple[str, str], ...] = ()

    def spec(self, theme: Theme, size: Size) -> Spec:
        """The whole Vega-Lite specification: transparent, of fixed width, drawn height plus that of the titles."""
        title = [part for line in self.title for part in textwrap.wrap(line, int(size.width / _TITLE_LETTER))]
        subtitle = textwrap.wrap(self.subtitle, int(size.width / _LETTER))
        drawn = self.draw(theme, size)
        return {
            "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
            "title": {"text": title, "subtitle": subtitle},
            "background": "transparent",
            "padding": 4,
            "width": size.width,
            "autosize": {"type": "fit", "contains": "padding"},
            "config": _config(theme),
            **drawn,
            "height": drawn["height"] + 20 * len(title) + 16 * len(subtitle),
        }

    def dimensions(self, size: Size) -> tuple[int, int]:
        return self._dimensions[size.name]

    @cached_property
    def _dimensions(self) -> dict[str, tuple[int, int]]:
        specs = {size: self.spec(LIGHT, size) for size in SIZES.values() if size is not WIDE} | {WIDE: self._wide}
        return {size.name: (int(spec["width"]), int(spec["height"])) for size, spec in specs.items()}

    @cached_property
    def _wide(self) -> Spec:
        """Drawn once for what is asked of it: a matrix of fifty contenders has 2,500 cells."""
        return self.spec(LIGHT, WIDE)

    @cached_property
    def digest(self) -> str:
        """Equal for equal pictures, so that a finished one can be kept for ever under it."""
        spec = json.dumps([self._wide, self.description], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(spec.encode()).hexdigest()[:20]


def render(chart: Chart, *, theme: Theme = LIGHT, size: Size = WIDE, suffix: str = "svg") -> bytes:
    """The chart as a file. Drawn once: the finished file is kept in the cache under the hash of what it shows."""
    spec = chart.spec(theme, size)
    if suffix != "svg":
        spec["background"] = "#ffffff" if theme is LIGHT else "#1b1c1e"
    about = [json.dumps(spec, sort_keys=True, ensure_ascii=False), chart.description, suffix]
    key = f"chart-{hashlib.sha256(json.dumps(about).encode()).hexdigest()}"
    kept: bytes | None = cache.get(key)
    if kept is None:
        kept = _drawn(spec, chart, suffix)
        cache.set(key, kept, _KEPT_SECONDS)
    return kept


def data_of(chart: Chart) -> bytes:
    """What a chart shows as CSV, in UTF-8; empty cells where there is no number."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    for line in chart.data:
        writer.writerow([_inert(cell) for cell in line])
    return file.getvalue().encode()


def _inert(cell: object) -> object:
    """Spreadsheets run a text that begins like a formula: such a label is told apart by an apostrophe."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in "=+-@\t\r" and cell else cell


def label_axis(labels: Iterable[str], *, most: int) -> Spec:
    """Axis settings that leave room for the labels, at most so many pixels, in any font."""
    room = min(most, round(_LETTER * max(map(len, labels), default=0)))
    return {"labelLimit": most / _WIDER, "minExtent": room, "maxExtent": room, "ticks": False, "labelPadding": 6}


def _drawn(spec: Spec, chart: Chart, suffix: str) -> bytes:
    # Its JavaScript engine costs 60 MB and a second: only a process that draws should pay for it.
    import vl_convert

    svg = vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])
    svg = _with_words(svg, title=". ".join(chart.title), description=chart.description)
    if suffix == "png":
        return bytes(vl_convert.svg_to_png(svg, scale=2))
    if suffix == "pdf":
        return bytes(vl_convert.svg_to_pdf(svg))
    return svg.encode()


def _with_words(svg: str, *, title: str, description: str) -> str:
    """The SVG with a title and a description for those who hear it instead of seeing it."""
    head, rest = svg.split(">", 1)
    words = f'<title id="chart-title">{escape(title)}</title><desc id="chart-description">{escape(description)}</desc>'
    return f'{head} role="img" aria-labelledby="chart-title chart-description">{words}{rest}'


def _config(theme: Theme) -> Spec:
    words = {"labelColor": theme.text, "titleColor": theme.muted, "labelFontSize": 12, "titleFontSize": 12}
    return {
        "font": _FONT,
        "title": {
            "anchor": "start",
            "frame": "bounds",
            "color": theme.text,
            "fontSize": 16,
            "fontWeight": 600,
            "lineHeight": 20,
            "subtitleColor": theme.muted,
            "subtitleFontSize": 12,
            "subtitleLineHeight": 16,
            "subtitlePadding": 4,
            "offset": 12,
        },
        "view": {"stroke": None},
        "axis": {
            **words,
            "titleFontWeight": "normal",
            "gridColor": theme.grid,
            "domain": False,
            "tickColor": theme.grid,
        },
        "legend": {
            **words,
            "orient": "bottom",
            "titleFontWeight": "normal",
            "symbolSize": 90,
            "labelLimit": 320,
            "columnPadding": 40,
        },
        "text": {"color": theme.text, "fontSize": 12},
    }

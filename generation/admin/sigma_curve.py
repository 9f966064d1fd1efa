"""A resolved schedule as a drawing: sigma against evaluation, inline SVG in the colour of the text, with its table."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Final

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

WIDTH: Final = 560
HEIGHT: Final = 240
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 12, 44
MOST_DOTS: Final = 60
"""With more steps than that the line has no dots."""


def sigma_curve(sigmas: Sequence[float], timesteps: Sequence[float], *, name: str) -> SafeString:
    """The curve of `sigmas`, the final 0 included, and folded away every number beside its timestep."""
    largest = max(sigmas, default=0.0) or 1.0
    last = max(1, len(sigmas) - 1)
    places = [(_across(index / last), _up(sigma / largest)) for index, sigma in enumerate(sigmas)]
    told = f"{len(timesteps)} evaluations, sigma from {sigmas[0]:.4g} to {sigmas[-1]:.4g}" if sigmas else "no sigmas"
    return format_html(
        # As wide as its place, and no higher than drawn: so it also fits a phone, without a style.
        '<svg viewBox="0 0 {w} {h}" width="100%" height="{h}" preserveAspectRatio="xMinYMin meet"'
        ' role="img" aria-label="{name}: {told}" fill="none"'
        ' stroke="currentColor" font-size="12">{axes}<polyline points="{line}" stroke-width="2"/>{dots}</svg>'
        '<p class="help">{told}</p>{table}',
        w=WIDTH,
        h=HEIGHT,
        name=name,
        told=told,
        axes=_axes(largest, last),
        line=" ".join(f"{x},{y}" for x, y in places),
        dots=_dots(places if len(places) <= MOST_DOTS else []),
        table=_table(sigmas, timesteps),
    )


def _dots(places: Sequence[tuple[str, str]]) -> SafeString:
    return format_html_join("", '<circle cx="{}" cy="{}" r="3" fill="currentColor" stroke="none"/>', places)


def _axes(largest: float, last: int) -> SafeString:
    """Frame, faint lines and numbers: half and whole of both axes."""
    bottom, left = _up(0), _across(0)
    marks = [(_across(0), "0"), (_across(1), str(last))]
    if last >= 4:
        marks.insert(1, (_across((last // 2) / last), str(last // 2)))
    levels = [(_up(share), f"{share * largest:.3g}") for share in (0.0, 0.5, 1.0)]
    lines = format_html_join(
        "",
        '<line x1="{}" y1="{}" x2="{}" y2="{}" opacity="0.25"/>',
        ((left, y, _across(1), y) for y, _ in levels),
    )
    numbers = format_html_join(
        "", '<text x="{}" y="{}" text-anchor="end">{}</text>', ((LEFT - 8, f"{float(y) + 4:.1f}", n) for y, n in levels)
    ) + format_html_join(
        "",
        '<text x="{}" y="{}" text-anchor="middle">{}</text>',
        ((x, f"{float(bottom) + 18:.1f}", n) for x, n in marks),
    )
    names = format_html(
        '<text x="{}" y="{}" text-anchor="middle">steps done</text><text x="4" y="{}" >sigma</text>',
        _across(0.5),
        HEIGHT - 6,
        _up(0.75),
    )
    return format_html('{}<g fill="currentColor" stroke="none">{}{}</g>', lines, numbers, names)


def _table(sigmas: Sequence[float], timesteps: Sequence[float]) -> SafeString:
    rows = format_html_join(
        "",
        '<tr><th scope="row">{}</th><td>{}</td><td>{}</td></tr>',
        (
            (index, "" if sigma is None else f"{sigma:.6g}", "–" if timestep is None else f"{timestep:.6g}")
            for index, (sigma, timestep) in enumerate(zip_longest(sigmas, timesteps))
        ),
    )
    return format_html(
        '<details><summary>All numbers</summary><table><thead><tr><th scope="col">step</th><th scope="col">sigma</th>'
        '<th scope="col">timestep</th></tr></thead><tbody>{}</tbody></table></details>',
        rows,
    )


def _across(share: float) -> str:
    return f"{LEFT + share * (WIDTH - LEFT - RIGHT):.1f}"


def _up(share: float) -> str:
    return f"{TOP + (1 - share) * (HEIGHT - TOP - BOTTOM):.1f}"

"""Pieces of a ballot's page that are the same on many pages: kept once they are rendered, per language."""

from functools import lru_cache
from typing import Any, Final

from django import template
from django.conf import settings
from django.template.loader import get_template
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language

from arena.voting import REPORT_REASONS, SKIP_REASONS

register = template.Library()

_MOST_KEPT: Final = 1_000


@register.simple_tag
def question(row: Any, problem_field: str = "") -> SafeString:
    """A question with its options, as the row says; a row is all that its piece depends on."""
    return _rendered("arena/_question.html", row=row, is_wrong=row.key == problem_field)


@register.simple_tag
def skip_sheet() -> SafeString:
    """Why a pair can be skipped."""
    return _rendered("arena/_skip_sheet.html")


@register.simple_tag
def report_sheet() -> SafeString:
    """What can be wrong with an image, and with which."""
    return _rendered("arena/_report_sheet.html")


@register.simple_tag
def help_sheet(slug: str, has_instructions: bool) -> SafeString:
    """What the keys do, and where a study's examples and the rater's own data are."""
    return _rendered("arena/_help_sheet.html", slug=slug, has_instructions=has_instructions)


def _rendered(name: str, **context: Any) -> SafeString:
    # With DEBUG a template may change while the process runs.
    render = _render if settings.DEBUG else _kept
    return render(name, get_language(), tuple(context.items()))


def _render(name: str, _language: str | None, context: tuple[tuple[str, Any], ...]) -> SafeString:
    reasons = {"skip_reasons": SKIP_REASONS, "report_reasons": REPORT_REASONS}
    return mark_safe(get_template(name).render({**dict(context), **reasons}))  # noqa: S308 - it was escaped there


_kept = lru_cache(maxsize=_MOST_KEPT)(_render)

"""An open ballot as a piece of HTML for the vote page's script: rendered once for each shape, then filled in.

Two ballots of a study mostly differ in their prompt, their images and their token alone. What else the template of a
ballot reads is the shape: the piece is kept by it, in each language, with marks where the ballot's own values go.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Final

from django.conf import settings
from django.http import HttpRequest
from django.middleware.csrf import get_token
from django.template.loader import render_to_string
from django.urls import get_script_prefix
from django.utils.html import escape
from django.utils.translation import get_language

from arena.models import Study
from arena.views.ballot_page import BallotPage, PromptPart

_MOST_KEPT: Final = 200
_SECRET: Final = secrets.token_hex(8)  # no prompt can hold a mark
_MARK: Final = re.compile(f"mark{_SECRET}([a-z]+[0-9]*)")


def piece_of(page: BallotPage, *, study: Study, request: HttpRequest) -> str:
    """The form of a ballot as `arena/_ballot.html` gives it, for a page that has just loaded it."""
    values = {"token": page.token, "left": page.left_url, "right": page.right_url, "form": get_token(request)}
    values |= {f"part{place}": part.text for place, part in enumerate(page.prompt_parts)}
    shape = replace(
        page,
        token=_mark("token"),
        left_url=_mark("left"),
        right_url=_mark("right"),
        prompt_parts=tuple(
            PromptPart(_mark(f"part{place}"), part.is_target) for place, part in enumerate(page.prompt_parts)
        ),
    )
    # With DEBUG a template may change while the process runs.
    pieces = (_pieces if settings.DEBUG else _kept)(shape, study.slug, get_language(), get_script_prefix())
    return _filled(pieces, values)


def _mark(name: str) -> str:
    return f"mark{_SECRET}{name}"


def _pieces(shape: BallotPage, slug: str, _language: str | None, _prefix: str) -> tuple[str, ...]:
    """Text and, in turns with it, names of values."""
    context = {"study": {"slug": slug}, "ballot": shape, "csrf_token": _mark("form")}
    return tuple(_MARK.split(render_to_string("arena/_ballot.html", context)))


_kept = lru_cache(maxsize=_MOST_KEPT)(_pieces)


def _filled(pieces: tuple[str, ...], values: Mapping[str, str]) -> str:
    safe = {name: str(escape(value)) for name, value in values.items()}
    return "".join(safe[piece] if place % 2 else piece for place, piece in enumerate(pieces))

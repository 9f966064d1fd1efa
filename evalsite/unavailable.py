"""What is answered where a request failed: 503 and when to come back where the database is away, else a fault of ours.

Here and not in a middleware, because only this sees errors of every layer: sessions are read before any view.
"""

import logging
import sys

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.translation import get_language_from_request

from arena.away import SECONDS_TO_WAIT, WAIT, is_away
from evalsite.faults import fault

logger = logging.getLogger(__name__)


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler of status 500."""
    if not is_away(error := sys.exception()):
        return fault(request)
    # One line instead of Django's traceback for each request: an outage brings hundreds. No path: it may hold a token.
    logger.error("Answered 503, because the database is away: %s", str(error).strip().partition("\n")[0])
    with translation.override(get_language_from_request(request)):
        response = _json(request) or HttpResponse(render_to_string("503.html"), status=503)
    response.headers["Retry-After"] = str(SECONDS_TO_WAIT)
    response.headers["Cache-Control"] = "no-store"
    setattr(response, "_has_been_logged", True)  # noqa: B010 - Django's own mark, which its type does not know
    return response


def _json(request: HttpRequest) -> HttpResponse | None:
    if request.get_preferred_type(["text/html", "application/json"]) != "application/json":
        return None
    return JsonResponse({"saved": False, "problem": str(WAIT), "code": "unavailable"}, status=503)

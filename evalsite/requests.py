"""The outermost layer of every answer: its id, its place in the logs, its count in the metrics."""

import logging
import re
import secrets
import time
from collections.abc import Callable
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from evalsite.log_settings import REQUESTS
from evalsite.metrics import requests as counted
from generation import log_context

HEADER: Final = "X-Request-ID"
NO_PAGE: Final = "none"
# Scraped and probed every few seconds: lines about them would be most of a quiet site's log.
UNSAID: Final = frozenset(("healthz", "readyz", "metrics"))
_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{8,64}")
_STUDY, _RUN = "slug", "run_pk"

logger = logging.getLogger(REQUESTS)


class RequestMiddleware:
    """Stands first, so that whatever happens within it is timed and carries the id."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        began = time.perf_counter()
        identity = id_of(request)
        with log_context.work(request=identity):
            response = self.get_response(request)
            request.noted = log_context.noted()  # type: ignore[attr-defined] # Django's own lines come after this block
            response.headers[HEADER] = identity
            seconds = time.perf_counter() - began
            route = route_of(request)
            counted.count(route=route, method=request.method or "", status=response.status_code, seconds=seconds)
            if route not in UNSAID:
                _say(request, route=route, status=response.status_code, seconds=seconds)
        return response

    def process_view(self, request: HttpRequest, view: object, args: object, kwargs: dict[str, Any]) -> None:
        """Now it is known what the address names."""
        known = {"study": kwargs.get(_STUDY), "run": kwargs.get(_RUN) or kwargs.get("run_id")}
        log_context.note(**{name: value for name, value in known.items() if value is not None})


def id_of(request: HttpRequest) -> str:
    """The id that our own proxy gave the request, where there is one; else a new one.

    Without a proxy of ours anybody could write it, and one request's lines would look like another's.
    """
    told = request.headers.get(HEADER, "")
    if settings.TRUSTED_PROXIES and _WELL_FORMED.fullmatch(told):
        return told
    return secrets.token_hex(8)


def route_of(request: HttpRequest) -> str:
    """The name of the page. Its address may hold an invitation, and there would be a metric for each."""
    match = request.resolver_match
    return match.view_name or NO_PAGE if match else NO_PAGE


def _say(request: HttpRequest, *, route: str, status: int, seconds: float) -> None:
    level = logging.ERROR if status >= 500 else logging.INFO
    if logger.isEnabledFor(level):
        milliseconds = round(1000 * seconds, 1)
        logger.log(
            level,
            "%s %s: %d in %.1f ms",
            request.method,
            route,
            status,
            milliseconds,
            extra={"route": route, "method": request.method, "status": status, "milliseconds": milliseconds},
        )

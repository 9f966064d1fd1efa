"""Who may use the API: a bearer token and nothing else; no cookie opens it, no other site's page may call it."""

import re
from typing import cast
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest
from ninja.security import HttpBearer
from ninja.throttling import BaseThrottle

from arena import api_tokens
from arena.api.problems import ProblemError
from arena.models import ApiToken
from arena.researchers import may_design

MOST_REQUEST_BYTES = 64 * 1024 * 1024
_NUL = re.compile(rb"\x00|(?<!\\)(?:\\\\)*\\u0000")
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class Token(HttpBearer):
    """A token of this site. Unsafe methods need one that may write."""

    def authenticate(self, request: HttpRequest, token: str) -> ApiToken | None:
        """The token's row; raises ProblemError before any of the body is read."""
        _check_origin(request)
        found = api_tokens.token_of(token.strip())
        if found is None:
            return None
        if request.method not in SAFE_METHODS and not found.may_write:
            raise ProblemError(403, "This token may only read: make one with the scope write.", code="read_only_token")
        _check_size(request)
        _check_characters(request)
        return found


class PerToken(BaseThrottle):
    """So many requests a minute for each token, counted for all web processes together."""

    def allow_request(self, request: HttpRequest) -> bool:
        return api_tokens.has_room(token_of(request))

    def wait(self) -> float:
        return 60.0


def token_of(request: HttpRequest) -> ApiToken:
    """The token that was checked for this request."""
    return cast(ApiToken, request.auth)  # type: ignore[attr-defined]


def person(request: HttpRequest) -> User:
    """Whose token this is."""
    return token_of(request).user


def researchers_only(request: HttpRequest) -> None:
    """Raises ProblemError for who may not bring in or design anything, as the designer's pages refuse them."""
    if not may_design(person(request)):
        raise ProblemError(
            403,
            "Only researchers may do this: ask an administrator for the right to add studies.",
            code="not_researcher",
        )


def _check_origin(request: HttpRequest) -> None:
    """Browsers name the page that sends a request; pages of other sites are refused even with a token."""
    origin = request.headers.get("Origin")
    if origin is None:
        return
    own = {f"{request.scheme}://{request.get_host()}", *settings.CSRF_TRUSTED_ORIGINS}
    if origin not in own or not urlsplit(origin).netloc:
        raise ProblemError(403, "Pages of other sites may not use this API.", code="foreign_origin")


def _check_characters(request: HttpRequest) -> None:
    """PostgreSQL stores no NUL in texts; told here, it needs no rule in every field."""
    if request.content_type == "application/json" and _NUL.search(request.body):
        raise ProblemError(422, "Texts may not hold the character NUL: leave it out.", code="nul")


def _check_size(request: HttpRequest) -> None:
    length = request.headers.get("Content-Length") or "0"
    if not length.isdigit() or int(length) > MOST_REQUEST_BYTES:
        raise ProblemError(
            413, f"A request may hold {MOST_REQUEST_BYTES // 2**20} MB: send fewer images at once.", code="too_large"
        )

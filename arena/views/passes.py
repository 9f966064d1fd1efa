"""Rater pages without cookies: a signed pass in the address stands for the rater inside a panel's frame.

`/with/PASS/vote/...` is `/vote/...` for the rater whom the pass names. Every address that a page makes keeps the pass,
because the site then seems to be mounted below it. Nothing else of the site is reached this way, and the browser's own
session is not looked at, so that no form token is needed: whoever has the address has the right.
"""

from collections.abc import Callable
from typing import Any

from django.core import signing
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound
from django.urls import get_script_prefix, set_script_prefix

from arena.models import Rater
from arena.panel_settings import MTURK_HOSTS

PREFIX = "/with/"
PASS_SECONDS = 7 * 24 * 60 * 60
_SALT = "arena.passes"
_RATER_PAGES = ("vote/", "ballots/", "examples/")
_FRAMED_BY = ["https://worker.mturk.com", *MTURK_HOSTS]


def address_with_pass(rater: Rater, path: str, *, unproven: dict[str, str] | None = None) -> str:
    """The same page for a browser that keeps no cookies. `unproven`: what the link said that only named the rater."""
    said: object = rater.public_id if unproven is None else {"rater": rater.public_id, "unproven": unproven}
    return f"{PREFIX}{signing.dumps(said, salt=_SALT)}{path}"


def rater_of_pass(request: HttpRequest) -> str | None:
    """The public id of the rater whom the address names."""
    public_id = getattr(request, "rater_pass", None)
    return str(public_id) if public_id else None


def unproven_of_pass(request: HttpRequest) -> dict[str, str] | None:
    """What the link said that this pass was given for, where it named the rater and proved nothing."""
    return getattr(request, "rater_pass_unproven", None)


def let_panels_frame(response: HttpResponse) -> HttpResponse:
    """Let Mechanical Turk, and nobody else, show this page in a frame and take its form."""
    response.xframe_options_exempt = True
    changed: dict[str, list[Any]] = {"frame-ancestors": list(_FRAMED_BY), "form-action": ["'self'", *MTURK_HOSTS]}
    response._csp_replace = changed  # type: ignore[attr-defined] # as csp.decorators.csp_replace does
    return response


class PassMiddleware:
    """Takes the pass out of the address. Stands last, within those that write security headers."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith(PREFIX):
            return self.get_response(request)
        token, _, rest = request.path_info.removeprefix(PREFIX).partition("/")
        try:
            said = signing.loads(token, salt=_SALT, max_age=PASS_SECONDS)
        except signing.BadSignature:
            said = None
        unproven = said["unproven"] if isinstance(said, dict) else None
        public_id = said["rater"] if isinstance(said, dict) else said
        if public_id is None or not rest.startswith(_RATER_PAGES):
            return let_panels_frame(HttpResponseNotFound("This address has ended. Open the task again."))
        request.rater_pass_unproven = unproven  # type: ignore[attr-defined]
        return let_panels_frame(self._answer(request, token=token, rest=rest, public_id=public_id))

    def _answer(self, request: HttpRequest, *, token: str, rest: str, public_id: str) -> HttpResponse:
        before = get_script_prefix()
        request.path_info = f"/{rest}"
        request.rater_pass = public_id  # type: ignore[attr-defined]
        request.csrf_processing_done = True  # type: ignore[attr-defined] # no cookie gives a right here
        set_script_prefix(f"{before.rstrip('/')}{PREFIX}{token}/")
        try:
            return self.get_response(request)
        finally:
            set_script_prefix(before)

"""What no page takes, refused before its view runs: more bytes than it reads, and the character NUL.

Django bounds the fields of a form but not its files: it writes them to disk while it looks for the form's token, for
anybody. Chunked bodies, which name no length, count as empty. NUL is no part of any text that PostgreSQL stores or
compares; refused here, no page needs a rule for it.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from django.http import HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.shortcuts import render

USUAL_BYTES: Final = 4 * 2**20
"""For pages that take no files: above what Django allows the fields of a form."""
View = TypeVar("View", bound=Callable[..., Any])
_ATTRIBUTE: Final = "most_request_bytes"
_FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")


def takes_up_to(most: int | None) -> Callable[[View], View]:
    """Declare what a view takes; None where it looks at both itself. The outermost decorator."""

    def declare(view: View) -> View:
        setattr(view, _ATTRIBUTE, most)
        return view

    return declare


class RequestLimitsMiddleware:
    """Answers 413 to too much and 400 to NUL. Stands before the check of form tokens, which reads the body."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: Any, kwargs: Any
    ) -> HttpResponse | None:
        """Nothing, which lets the request go on, or the refusal."""
        most: int | None = getattr(view, _ATTRIBUTE, USUAL_BYTES)
        if most is None:
            return None
        length = request.META.get("CONTENT_LENGTH") or "0"
        if not (length.isascii() and length.isdigit() and int(length) <= most):
            return _too_much(request, f"This page takes at most {most // 2**20} MB at once. Send less.")
        if _has_nul(request):
            return render(request, "400.html", status=400)
        return None


def _has_nul(request: HttpRequest) -> bool:
    if "%00" in request.META.get("QUERY_STRING", "") or "\0" in request.path_info:
        return True
    if request.content_type not in _FORMS:
        return False
    try:
        return any("\0" in value for _, values in request.POST.lists() for value in values)
    except UnreadablePostError:  # whoever sent it has gone
        return False


def _too_much(request: HttpRequest, sentence: str) -> HttpResponse:
    if request.get_preferred_type(["text/html", "application/json"]) == "application/json":
        return JsonResponse({"saved": False, "problem": sentence}, status=413)
    return render(request, "413.html", {"sentence": sentence}, status=413)

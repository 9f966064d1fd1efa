"""Every error of the API as one problem document (RFC 9457): a sentence, and the field that is meant."""

import functools
import logging
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation, TooManyFilesSent
from django.db import DataError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern
from django.views.decorators.csrf import csrf_exempt
from ninja import NinjaAPI, Schema
from ninja.errors import HttpError, Throttled, ValidationError

from arena.away import SECONDS_TO_WAIT, WAIT, is_away
from arena.refusals import Refusal
from arena.views.request_limits import takes_up_to
from generation import log_context
from generation.errors import GenerationError
from generation.image_imports import ConflictError, ImageImportError
from generation.prompt_files import PromptFileError
from generation.prompt_sets import PromptSetError

REFUSALS = frozenset({400, 401, 403, 404, 409, 413, 422, 429, 503})
"""The statuses that any operation may answer with a problem."""
CONTENT_TYPE = "application/problem+json"
logger = logging.getLogger(__name__)


def file_of(*media_types: str) -> dict[str, Any]:
    """For `openapi_extra`: a successful answer is a file of one of these types."""
    content = {media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in media_types}
    return {"responses": {200: {"description": "The file", "content": content}}}


class FieldProblem(Schema):
    """One field that cannot be taken as it is."""

    field: str
    detail: str


class Problem(Schema):
    """An error: `detail` is a sentence for people, `code` is for programs."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    errors: list[FieldProblem] = []


class ProblemError(Exception):
    """An error that carries its status."""

    def __init__(self, status: int, detail: str, *, code: str, field: str = "") -> None:
        super().__init__(detail)
        self.status, self.detail, self.code, self.field = status, detail, code, field


NOT_FOUND = "There is nothing here, or it is not yours."


def problem_response(status: int, detail: str, *, code: str, errors: Sequence[tuple[str, str]] = ()) -> JsonResponse:
    """The document with its content type; a 401 says what is asked for."""
    title = HTTPStatus(status).phrase
    body = Problem(
        title=title,
        status=status,
        detail=detail,
        code=code,
        errors=[FieldProblem(field=field, detail=text) for field, text in errors],
    )
    response = JsonResponse(body.model_dump(), status=status, content_type=CONTENT_TYPE)
    response.headers["Cache-Control"] = "no-store"
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Bearer realm="winrate"'
    return response


def answer_with_problems(api: NinjaAPI) -> None:
    """Let the API answer every error that it knows with a problem document."""

    def on(kind: type[Exception], answer: Callable[[Any], HttpResponse]) -> None:
        def handler(request: HttpRequest, error: Any) -> HttpResponse:
            return answer(error)

        api.add_exception_handler(kind, handler)

    on(ProblemError, lambda e: _with_field(e.status, e.detail, e.code, e.field))
    on(Refusal, lambda e: _with_field(422, e.sentence, e.code, e.field))
    on(ImageImportError, lambda e: _with_field(422, str(e), "image_refused", e.field or e.file_name))
    on(ConflictError, lambda e: _with_field(409, str(e), "image_exists", e.field or e.file_name))
    on(GenerationError, lambda e: problem_response(422, str(e), code="refused"))
    on(PromptFileError, lambda e: _with_field(422, str(e), "bad_prompt_file", "file"))
    on(PromptSetError, lambda e: problem_response(422, str(e), code="bad_prompt_set"))
    on(Http404, lambda e: problem_response(404, NOT_FOUND, code="not_found"))
    on(Throttled, lambda e: problem_response(429, "Too many requests: wait a minute.", code="too_many_requests"))
    on(HttpError, lambda e: _of_http_error(e))
    on(ValidationError, lambda e: _of_validation(e))
    on(TooManyFilesSent, lambda e: problem_response(413, "Send fewer files in one request.", code="too_many_files"))
    on(RequestDataTooBig, lambda e: problem_response(413, "The form's fields are too large.", code="too_large"))
    on(DataError, lambda e: problem_response(422, "A value is too large to be stored.", code="too_large_a_value"))
    on(Exception, _of_a_fault)
    on(OperationalError, _of_a_database_away)
    on(InterfaceError, _of_a_database_away)
    on(SuspiciousOperation, lambda e: problem_response(400, "The request cannot be read.", code="bad_request"))


def only_problems(pattern: URLPattern) -> URLPattern:
    """The same address, whose refusals from outside our own handlers (405, for one) become problems too."""
    view = pattern.callback

    @csrf_exempt  # no cookie opens anything here, and the check would read the body
    @takes_up_to(None)  # asked for with the token, before the body is read
    @functools.wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response: HttpResponseBase = view(request, *args, **kwargs)
        if response.status_code < 400 or response.headers.get("Content-Type") == CONTENT_TYPE:
            return response
        if response.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            said = problem_response(405, f"{request.method} is not possible here.", code="method_not_allowed")
            said.headers["Allow"] = response.headers["Allow"]
            return said
        phrase = HTTPStatus(response.status_code).phrase
        return problem_response(response.status_code, f"{phrase}.", code="error")

    return URLPattern(pattern.pattern, answer, pattern.default_args, pattern.name)


def _of_a_fault(error: Exception) -> HttpResponse:
    logger.error("the API failed", exc_info=error)
    number = log_context.noted().get("request", "none")
    return problem_response(500, f"This is a fault of ours: it is in the server's log under {number}.", code="fault")


def _of_a_database_away(error: Exception) -> HttpResponse:
    if not is_away(error):
        return _of_a_fault(error)
    logger.error("Answered 503, because the database is away: %s", str(error).strip().partition("\n")[0])
    response = problem_response(503, str(WAIT), code="unavailable")
    response.headers["Retry-After"] = str(SECONDS_TO_WAIT)
    return response


def _with_field(status: int, detail: str, code: str, field: str) -> HttpResponse:
    return problem_response(status, detail, code=code, errors=[(field, detail)] if field else [])


def _of_http_error(error: HttpError) -> HttpResponse:
    if error.status_code == HTTPStatus.UNAUTHORIZED:
        return problem_response(401, "Give a valid token: Authorization: Bearer winrate_...", code="token_needed")
    code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
    return problem_response(error.status_code, f"{str(error).rstrip('.')}.", code=code)


def _of_validation(error: ValidationError) -> HttpResponse:
    # The place is such as ("body", "payload", "name") or ("query", "samples"): the last part is what people wrote.
    errors = [(str(found["loc"][-1]), str(found["msg"])) for found in error.errors]
    detail = "; ".join(f"{field}: {text}" for field, text in errors)
    return problem_response(422, f"{detail}.", code="invalid", errors=errors)

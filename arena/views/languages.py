"""In which language a rater's page speaks: as chosen on the page, else as the browser asks."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.utils.cache import patch_vary_headers

Rest = ParamSpec("Rest")
Answer = TypeVar("Answer", bound=HttpResponse)


def in_raters_language(
    view: Callable[Concatenate[HttpRequest, Rest], Answer],
) -> Callable[Concatenate[HttpRequest, Rest], Answer]:
    """The view, run in the rater's language. Researchers' pages are in English, whatever their browser asks for."""

    @wraps(view)
    def in_language(request: HttpRequest, *args: Rest.args, **named: Rest.kwargs) -> Answer:
        with translation.override(translation.get_language_from_request(request)):
            response = view(request, *args, **named)
            response.headers["Content-Language"] = translation.get_language() or "en"
        patch_vary_headers(response, ["Accept-Language", "Cookie"])
        return response

    return in_language

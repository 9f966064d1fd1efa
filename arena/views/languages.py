"""In which language a rater's page speaks: as chosen on the page, else as the browser asks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import update_wrapper
from typing import Concatenate, ParamSpec

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.utils.cache import patch_vary_headers

Rest = ParamSpec("Rest")


def in_raters_language(
    view: Callable[Concatenate[HttpRequest, Rest], HttpResponse],
) -> Callable[Concatenate[HttpRequest, Rest], HttpResponse]:
    """The view, run in the rater's language. Researchers' pages are in English, whatever their browser asks for."""

    def in_language(request: HttpRequest, /, *args: Rest.args, **named: Rest.kwargs) -> HttpResponse:
        with translation.override(translation.get_language_from_request(request)):
            response = view(request, *args, **named)
            response.headers["Content-Language"] = translation.get_language() or "en"
        patch_vary_headers(response, ["Accept-Language", "Cookie"])
        return response

    update_wrapper(in_language, view)
    return in_language


@contextmanager
def as_it_was_read(request: HttpRequest) -> Iterator[None]:
    """The language in which a form was shown (its field `language`): another tab may have changed the choice since."""
    said = request.POST.get("language", "")
    with translation.override(said if said in dict(settings.LANGUAGES) else translation.get_language()):
        yield

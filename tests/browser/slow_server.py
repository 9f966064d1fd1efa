"""A server that is far away: every answer comes a good while after it was asked for."""

import time
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

LATENCY = 0.4  # seconds


def far_away(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """A middleware that adds the latency to every request."""

    def answer(request: HttpRequest) -> HttpResponse:
        time.sleep(LATENCY)
        return get_response(request)

    return answer

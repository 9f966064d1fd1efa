"""`/metrics` for Prometheus: only with the token from the settings, and as if it did not exist where none is set."""

from collections.abc import Iterator
from http import HTTPStatus

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from evalsite.metrics import collecting, requests


class _Everything(Collector):
    def collect(self) -> Iterator[Family]:
        yield from requests.families()
        yield from collecting.families()


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """All metrics in Prometheus's text format."""
    if not settings.METRICS_TOKEN:
        raise Http404
    kind, _, told = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not constant_time_compare(told.strip(), settings.METRICS_TOKEN):
        refused = HttpResponse("Give the token that WINRATE_METRICS_TOKEN holds.\n", status=HTTPStatus.UNAUTHORIZED)
        refused.headers["WWW-Authenticate"] = 'Bearer realm="metrics"'
        refused.headers["Content-Type"] = "text/plain; charset=utf-8"
        return refused
    requests.keep_alive()
    return HttpResponse(generate_latest(_Everything()), content_type=CONTENT_TYPE_PLAIN_0_0_4)

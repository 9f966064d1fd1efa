"""Which network a request comes from, by the number of our own proxies in front."""

from django.conf import settings
from django.http import HttpRequest

from arena.networks import network_of


def network_here(request: HttpRequest) -> str:
    """Only for counting: it is never stored or logged as it is."""
    return network_of(
        peer=request.META.get("REMOTE_ADDR", ""),
        forwarded_for=request.headers.get("X-Forwarded-For", ""),
        trusted_proxies=settings.TRUSTED_PROXIES,
    )

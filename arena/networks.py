"""Caps per network without addresses: a /24 (IPv4) or /48 (IPv6) under a key that is thrown away after a day."""

import hashlib
import hmac
import ipaddress
import secrets
from datetime import UTC, date, datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from arena import privacy_rules
from arena.models import NetworkCount, NetworkKey, Study
from arena.refusals import Refusal

KEPT: Final = timedelta(days=30)
_PREFIX: Final = {4: 24, 6: 48}
UNKNOWN: Final = "unknown"  # a web server that listens on a socket of its own names no address


class NetworkError(Refusal):
    """More from one network than the study takes at a time."""


def network_of(*, peer: str, forwarded_for: str = "", trusted_proxies: int = 0) -> str:
    """The network that a request came from, such as "192.0.2.0/24".

    peer:            address at the other end of the connection
    forwarded_for:   the header X-Forwarded-For, which anybody can write: only the entries that our own proxies
                     appended count, and they are the last `trusted_proxies` ones
    """
    hops = [hop.strip() for hop in forwarded_for.split(",")] if trusted_proxies else []
    told = hops[-trusted_proxies] if trusted_proxies and len(hops) >= trusted_proxies else peer
    try:
        address = ipaddress.ip_address(told)
    except ValueError:
        return UNKNOWN
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return str(ipaddress.ip_network(f"{address}/{_PREFIX[address.version]}", strict=False))


def network_here(request: HttpRequest) -> str:
    """The network of a request, by the number of our own proxies. For counting: never stored or logged as it is."""
    return network_of(
        peer=request.META.get("REMOTE_ADDR", ""),
        forwarded_for=request.headers.get("X-Forwarded-For", ""),
        trusted_proxies=settings.TRUSTED_PROXIES,
    )


def count_joining(study: Study, *, network: str) -> None:
    """One more rater from this network in this hour; a NetworkError where the study takes no more."""
    now = timezone.now()
    most = privacy_rules.most_raters_per_network(study)
    hour = now.replace(minute=0, second=0, microsecond=0)
    if most is not None and not _count(study, network, NetworkCount.Act.JOINED, since=hour, most=most):
        raise NetworkError(
            _(
                "Several people have just joined from your network, and the study takes only so many within an hour. "
                "Please open the link again a little later."
            ),
            code="network_busy",
        )


def count_answer(study: Study, *, network: str) -> None:
    """One more answered ballot from this network today; a NetworkError where the study takes no more."""
    most = privacy_rules.most_ballots_per_network(study)
    day = timezone.now().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if most is not None and not _count(study, network, NetworkCount.Act.ANSWERED, since=day, most=most):
        raise NetworkError(
            _(
                "Your network has answered as many pairs as this study takes within a day. Everything before is saved: "
                "please go on tomorrow."
            ),
            code="network_full",
        )


def forget_old() -> int:
    """Throw away keys of days that are over, and counts after 30 days; returns how many rows went."""
    now = timezone.now()
    keys, _each = NetworkKey.objects.filter(day__lt=_day(now)).delete()
    counts, _each = NetworkCount.objects.filter(since__lt=now - KEPT).delete()
    return keys + counts


def _count(study: Study, network: str, act: str, *, since: datetime, most: int) -> bool:
    """Count one more, unless there are `most` already. One conditional UPDATE: processes cannot overtake each other."""
    with transaction.atomic():
        code = _code(network, day=_day(since))
        row = NetworkCount(study=study, network=code, act=act, since=since)
        NetworkCount.objects.bulk_create([row], ignore_conflicts=True)
        found = NetworkCount.objects.filter(study=study, network=code, act=act, since=since, number__lt=most)
        return bool(found.update(number=F("number") + 1))


def _code(network: str, *, day: date) -> str:
    found = NetworkKey.objects.filter(day=day).first()
    if found is None:
        NetworkKey.objects.bulk_create([NetworkKey(day=day, key=secrets.token_bytes(32))], ignore_conflicts=True)
        found = NetworkKey.objects.get(day=day)
    return hmac.new(bytes(found.key), network.encode(), hashlib.sha256).hexdigest()


def _day(moment: datetime) -> date:
    return moment.astimezone(UTC).date()

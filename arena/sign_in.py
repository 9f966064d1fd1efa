"""Signing in, with a limit on tries that all web processes share (OWASP: credential stuffing).

Tries are counted before the password is looked at, so that many at once gain nothing, and a right password gives its
try back. The account's limit slows guessing at one person; the network's, guessing at many.
"""

from datetime import datetime, timedelta
from typing import Any, Final

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import F
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import salted_hmac

from arena.models import SignInCount
from arena.networks import UNKNOWN, network_here

TRIES_PER_ACCOUNT: Final = 5
"""Within a minute."""
TRIES_PER_NETWORK: Final = 20
"""Within a minute; a network is a /24 or /48, for addresses are not kept, so it may be a whole laboratory."""
TOO_MANY: Final = "winrate.too_many_sign_ins"
"""Set in the request's META where a try was not even looked at: forms say so."""
_KEPT: Final = timedelta(hours=1)


class CountingBackend(ModelBackend):
    """Django's own check of name and password, refused unseen where there were too many tries."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **more: Any
    ) -> User | None:
        """The account; PermissionDenied, which ends the attempt, where there were too many tries within the minute."""
        name = more.get(User.USERNAME_FIELD) if username is None else username
        if name is None or password is None:
            return None
        counted = _count_try(name, network=UNKNOWN if request is None else network_here(request))
        if counted is None:
            if request is not None:
                request.META[TOO_MANY] = "1"
            raise PermissionDenied
        found = super().authenticate(request, username=name, password=password)
        if found is not None:
            SignInCount.objects.filter(pk__in=counted, number__gt=0).update(number=F("number") - 1)
        return found if isinstance(found, User) else None


def may_ask_for_link(request: HttpRequest, *, address: str) -> bool:
    """Count a request for mail with a link; whether it may be sent."""
    return _count_try(f"mail:{address}", network=network_here(request)) is not None


def forget_old() -> int:
    """Throw away counts of minutes that are over; returns how many."""
    return SignInCount.objects.filter(minute__lt=timezone.now() - _KEPT).delete()[0]


def _count_try(name: str, *, network: str) -> list[int] | None:
    """The rows in which a try was counted; None where a limit was reached."""
    minute = timezone.now().replace(second=0, microsecond=0)
    wanted = [(f"account:{name.casefold()[:150]}", TRIES_PER_ACCOUNT)]
    if network != UNKNOWN:
        wanted.append((f"network:{network}", TRIES_PER_NETWORK))
    counted = [
        _count(salted_hmac("sign-in", what, algorithm="sha256").hexdigest(), minute, most=most) for what, most in wanted
    ]
    return None if None in counted else [pk for pk in counted if pk is not None]


def _count(code: str, minute: datetime, *, most: int) -> int | None:
    """One conditional UPDATE: processes cannot overtake each other."""
    with transaction.atomic():
        SignInCount.objects.bulk_create([SignInCount(code=code, minute=minute)], ignore_conflicts=True)
        row = SignInCount.objects.filter(code=code, minute=minute)
        if not row.filter(number__lt=most).update(number=F("number") + 1):
            return None
        return row.values_list("pk", flat=True).get()

"""Tokens of the API: made once and shown once, checked at every request, revoked at once."""

import hashlib
import secrets
from datetime import timedelta
from typing import Final

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from arena import minute_counts
from arena.audit import note
from arena.models import ApiToken
from arena.refusals import Refusal

PREFIX: Final = "winrate_"  # so that secret scanners can tell what was found
USUAL_DAYS: Final = 90
MOST_DAYS: Final = 3650
REQUESTS_A_MINUTE: Final = 600
_USE_IS_NOTED_EVERY: Final = timedelta(minutes=1)


class TokenError(Refusal):
    """A token that cannot be made like this."""


def create_token(
    *,
    user: User,
    label: str,
    scope: str = ApiToken.Scope.READ,
    days: int | None = USUAL_DAYS,
    actor: User | None = None,
) -> tuple[ApiToken, str]:
    """A token and its text, which cannot be had again. `days` None lets it live until it is revoked."""
    label = label.strip()
    if not label or len(label) > 100 or not label.isprintable():
        raise TokenError("Say in 1 to 100 characters what the token is for.", code="bad_label", field="label")
    if scope not in ApiToken.Scope.values:
        raise TokenError(f"The scope is read or write, not {scope!r}.", code="bad_scope", field="scope")
    if days is not None and not 1 <= days <= MOST_DAYS:
        raise TokenError(f"A token lives 1 to {MOST_DAYS} days, not {days}.", code="bad_days", field="days")
    if not user.is_active:
        raise TokenError(f"The account {user} is disabled.", code="disabled_user", field="user")
    text = PREFIX + secrets.token_urlsafe(32)
    with transaction.atomic():
        token = ApiToken.objects.create(
            user=user,
            label=label,
            scope=scope,
            token_sha256=_digest(text),
            expires_at=None if days is None else timezone.now() + timedelta(days=days),
        )
        note(None, actor, "API token made", token=token.pk, user=user.pk, scope=scope)
    return token, text


def revoke_token(token: ApiToken, *, actor: User | None) -> bool:
    """Let it open nothing from now on; whether it still did."""
    with transaction.atomic():
        was_standing = ApiToken.objects.filter(pk=token.pk, revoked_at__isnull=True).update(revoked_at=Now()) == 1
        if was_standing:
            note(None, actor, "API token revoked", token=token.pk, user=token.user_id)
    return was_standing


def token_of(text: str) -> ApiToken | None:
    """The valid token with this text."""
    if not text.startswith(PREFIX):
        return None
    token = ApiToken.objects.valid().select_related("user").filter(token_sha256=_digest(text)).first()
    if token is not None:
        stale = Q(last_used_at__isnull=True) | Q(last_used_at__lt=Now() - _USE_IS_NOTED_EVERY)
        ApiToken.objects.filter(stale, pk=token.pk).update(last_used_at=Now())
    return token


def has_room(token: ApiToken) -> bool:
    """Count a request, over all web processes; False where this token has made its requests of this minute."""
    return minute_counts.count_one(f"api-token:{token.pk}", most=REQUESTS_A_MINUTE) is not None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

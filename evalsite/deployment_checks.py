"""Settings that would lose votes or let strangers in, as Django system checks: `manage.py check`, and every start."""

import ipaddress
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from evalsite.file_systems import network_complaint

TAG = "deployment"


def is_public(hosts: Iterable[str]) -> bool:
    """Whether others than this machine may ask for one of these host names."""
    return not all(_is_loopback(host) for host in hosts)


def _is_loopback(host: str) -> bool:
    name = host.strip("[].").lower()
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


@register(TAG)
def refuse_dangerous_settings(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """What no start may go on with."""
    found: list[CheckMessage] = []
    kept = Path(settings.DATA_DIR) / "secret_key"
    if settings.HTTPS and not settings.HAS_GIVEN_SECRET_KEY:
        found.append(
            Error(
                "WINRATE_HTTPS is on, but SECRET_KEY is not set, so each host would sign with a key of its own: set "
                "one for all of them. Where people have taken part already, it must be the one that is kept on this "
                f'machine, or their links and cookies end: SECRET_KEY="$(cat {kept})". A new site makes one with: '
                "python -c 'import secrets; print(secrets.token_urlsafe(50))'.",
                id="winrate.E001",
            )
        )
    if settings.DEBUG and is_public(settings.ALLOWED_HOSTS):
        public = next(host for host in settings.ALLOWED_HOSTS if is_public([host]))
        found.append(
            Error(
                f"DEBUG is on, whose pages show settings and code, and ALLOWED_HOSTS lets others in ({public}): "
                "unset DEBUG, or leave only localhost in ALLOWED_HOSTS.",
                id="winrate.E002",
            )
        )
    database = settings.DATABASES["default"]
    is_sqlite = database["ENGINE"].endswith("sqlite3")
    if is_sqlite and (sentence := network_complaint(Path(database["NAME"]))):
        found.append(Error(sentence, id="winrate.E003"))
    return found


@register(Tags.security, deploy=True)
def warn_of_half_deployments(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """What works on one machine by itself and not behind a proxy or on several hosts."""
    found: list[CheckMessage] = []
    if settings.HTTPS and not settings.TRUSTED_PROXIES:
        found.append(
            Warning(
                "All raters come from one network, that of the proxy: caps per network count them as one.",
                hint="Set WINRATE_TRUSTED_PROXIES to the number of your proxies, 1 for the nginx of deploy/.",
                id="winrate.W001",
            )
        )
    if "*" in settings.ALLOWED_HOSTS:
        found.append(
            Warning(
                "ALLOWED_HOSTS takes any host name, and links in mail would carry whichever a stranger sent.",
                hint="Name the hosts.",
                id="winrate.W002",
            )
        )
    for name in ("CELERY_BROKER_URL", "CACHE_URL"):
        if str(getattr(settings, name)).startswith("memory:"):
            found.append(
                Warning(
                    f"{name} names this process's own memory, which no other process sees.",
                    hint="Use redis://host:6379/0.",
                    id="winrate.W003",
                )
            )
    return found

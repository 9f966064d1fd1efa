"""Takes out of log lines what no log may hold: addresses of people, tokens, passwords, what stood in a query."""

import ipaddress
import os
import re
from collections.abc import Callable, Iterable
from typing import Final
from urllib.parse import unquote, urlsplit

from django.conf import settings

SECRET: Final = "[secret]"  # noqa: S105 - what stands in its place
ADDRESS: Final = "[address]"
LONGEST_LINE: Final = 4_000
_SHORTEST_SECRET = 6
_SECRET_VARIABLE = re.compile(r"(SECRET|PASSWORD|TOKEN|ACCESS_KEY)", re.IGNORECASE)

_SHA256 = re.compile(r"[0-9a-f]{64}")

Rule = tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]


def _unless_our_own(match: re.Match[str]) -> str:
    """An address in place of which we say so; loopback and version numbers tell nothing of a person."""
    try:
        found = ipaddress.ip_address(match[0])
    except ValueError:
        return match[0]
    return match[0] if found.is_loopback or found.is_unspecified else ADDRESS


def _unless_a_hash(match: re.Match[str]) -> str:
    return match[0] if _SHA256.fullmatch(match[0]) else SECRET


# In this order: a whole URL with its password goes before the parts of it.
RULES: Final[tuple[Rule, ...]] = (
    (re.compile(r"(?<=://)[^\s/@'\"]*:[^\s/@'\"]*(?=@)"), SECRET),
    # Addresses of ours that give a right to whoever has them.
    (re.compile(r"(?<=/join/)[^\s/'\"?]+"), SECRET),
    (re.compile(r"(?<=/with/)[^\s/'\"?]+"), SECRET),
    (re.compile(r"(?<=/examples/)[^\s/'\"?]+"), SECRET),
    (re.compile(r"(?<=/accounts/new/)[^\s/'\"?]+/[^\s/'\"?]+"), SECRET),
    (re.compile(r"(?<=[\w/.-])\?[^\s'\"<>()?=]*=[^\s'\"<>()]*"), f"?{SECRET}"),
    (re.compile(r"\bwinrate_[\w-]{16,}"), SECRET),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}"), rf"\1 {SECRET}"),
    (
        re.compile(
            r"(?i)\b(password|passwd|sessionid|csrftoken|csrfmiddlewaretoken|secret_key|api_key|cookie|token)"
            r"(['\"]?\s*[=:]\s*)(?!\[)(\"[^\"]*\"|'[^']*'|[^\s,;&'\")]+)"
        ),
        rf"\1\2{SECRET}",
    ),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), SECRET),  # signed links of panels (JWT)
    # Ballots, raters, sessions and forms: 32 letters and digits without a break, or twice as many.
    (
        re.compile(r"(?<![0-9A-Za-z])(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])(?:[0-9A-Za-z]{32}){1,2}(?![0-9A-Za-z])"),
        _unless_a_hash,
    ),
    (re.compile(r"[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+"), ADDRESS),
    (re.compile(r"(?<![\w:])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:\.\d{1,3}){0,3}(?![\w:])"), _unless_our_own),
    (re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.+]*\w)"), _unless_our_own),
)


class Redaction:
    """The rules, and the very secrets of this process."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        words = sorted({word for word in secrets if len(word) >= _SHORTEST_SECRET}, key=len, reverse=True)
        self._known = re.compile("|".join(re.escape(word) for word in words)) if words else None

    def __call__(self, text: str) -> str:
        """The text without them, its lines cut where they are longer than any of ours."""
        return "\n".join(map(self._of_line, text.split("\n")))

    def _of_line(self, text: str) -> str:
        if len(text) > LONGEST_LINE:
            # A stranger can have 8 KB of a request logged, and some rules look at every two places of a line.
            text = f"{text[:LONGEST_LINE].rpartition(' ')[0] or text[:LONGEST_LINE]} [cut]"
        if self._known is not None:
            text = self._known.sub(SECRET, text)
        for pattern, instead in RULES:
            text = pattern.sub(instead, text)
        return text


def secrets_of_this_process() -> set[str]:
    """Keys and passwords from the settings and from variables whose names say that they hold one."""
    found = {str(settings.SECRET_KEY), str(getattr(settings, "METRICS_TOKEN", ""))}
    for url in ("DATABASE_URL", "CELERY_BROKER_URL", "CACHE_URL", "STORAGE_URL", "EMAIL_URL", "WEIGHTS_URL"):
        password = urlsplit(str(getattr(settings, url, "") or "")).password
        found |= {password, unquote(password)} if password else set()
    return found | {value for name, value in os.environ.items() if _SECRET_VARIABLE.search(name)}

"""Reads settings from environment variables: each declared once with its type and meaning, a typo stops the start."""

import difflib
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeVar
from urllib.parse import urlsplit

from generation.capabilities import gigabytes_of

T = TypeVar("T")

OWN_PREFIX = "WINRATE_"
# Keys that stand in somebody's documentation; no random key holds such a word.
_SAMPLE_KEY = re.compile(
    r"django-insecure|change.?me|change.?this|replace.?(me|this|with)|example|your.?secret|secret.?key"
    r"|placeholder|password|passw0rd|letmein|qwerty|<[^>]+>",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Setting:
    """What is documented about one environment variable."""

    name: str
    kind: str
    default: str
    meaning: str


def stop(sentence: str) -> NoReturn:
    """End the process with one sentence instead of a traceback: whoever reads it has to change a variable, not code."""
    sys.exit(f"Winrate cannot start: {sentence}")


class Environment:
    """Typed access to a mapping of variables that remembers every setting it was asked for."""

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        self._variables = os.environ if variables is None else variables
        self.table: dict[str, Setting] = {}

    def setting(
        self,
        name: str,
        parse: Callable[[str], T],
        *,
        default: str | Callable[[], str],
        meaning: str,
        default_in_words: str = "",
    ) -> T:
        """The value of a variable, or its default, parsed by a function whose docstring says what it takes.

        Raises SystemExit with one sentence where the value does not parse.
        """
        kind = (parse.__doc__ or "").strip().rstrip(".")
        in_words = default_in_words or (default if isinstance(default, str) else "")
        self.table[name] = Setting(name=name, kind=kind, default=in_words, meaning=meaning)
        given = self._variables.get(name)
        if given is None:
            given = default if isinstance(default, str) else default()
        try:
            return parse(given)
        except ValueError as error:
            is_secret = parse in (secret, secret_or_none) or "@" in given
            shown = "" if is_secret else f"={given!r}"  # a log is no place for passwords
            stop(f"{name}{shown} is not {kind}{f' ({error})' if str(error) else ''}.")

    def refuse_unknown(self) -> None:
        """Stop on a variable with our prefix that nothing reads: a misspelled setting would be a silent default."""
        for name in sorted(self._variables):
            if name.startswith(OWN_PREFIX) and name not in self.table:
                ours = [known.removeprefix(OWN_PREFIX) for known in self.table if known.startswith(OWN_PREFIX)]
                near = difflib.get_close_matches(name.removeprefix(OWN_PREFIX), ours, n=1)
                hint = f"did you mean {OWN_PREFIX}{near[0]}?" if near else "see the README's table of settings."
                stop(f"unknown setting {name}; {hint}")


def as_markdown(table: Mapping[str, Setting]) -> str:
    """The settings as the table that stands in the README."""
    rows = [f"| `{one.name}` | {one.kind} | {one.default} | {one.meaning} |" for one in table.values()]
    return "\n".join(["| variable | value | default | what for |", "|---|---|---|---|", *rows])


def text(value: str) -> str:
    """any text."""
    return value


def flag(value: str) -> bool:
    """on or off."""
    words = {"on": True, "true": True, "yes": True, "1": True, "off": False, "false": False, "no": False, "0": False}
    if value.lower() not in words:
        raise ValueError
    return words[value.lower()]


def count(value: str) -> int:
    """a whole number from 0 on."""
    if not (value.isascii() and value.isdigit() and len(value) < 10):
        raise ValueError
    return int(value)


def port(value: str) -> int:
    """a port, a whole number from 1 to 65535."""
    if not 1 <= count(value) <= 65535:
        raise ValueError
    return int(value)


def words(value: str) -> list[str]:
    """a list separated by commas."""
    return [word.strip() for word in value.split(",") if word.strip()]


def folder(value: str) -> Path:
    """a folder."""
    if not value.strip():
        raise ValueError("it is empty")
    return Path(value).expanduser().absolute()


def _is_typed(key: str) -> bool:
    """Whether a key says the same thing again or counts up or down, as people's do and random ones do not.

    Random keys stay far from these bounds, of hexadecimal digits too.
    """
    start = key[:64]  # in a very long key the same three characters come again by chance
    threes = [start[place : place + 3] for place in range(len(start) - 2)]
    steps = [ord(after) - ord(before) for before, after in zip(start, start[1:], strict=False)]
    return len(set(threes)) < len(threes) * 2 / 3 or sum(step in (-1, 1) for step in steps) > len(steps) / 2


def secret(value: str) -> str:
    """a secret of at least 32 characters."""
    if len(value) < 32 or len(set(value)) < 8 or _is_typed(value) or _SAMPLE_KEY.search(value):
        raise ValueError("make one with: python -c 'import secrets; print(secrets.token_urlsafe(50))'")
    return value


def secret_or_none(value: str) -> str:
    """a secret of at least 32 characters, or nothing."""
    return secret(value) if value else ""


def log_format(value: str) -> str:
    """text or json."""
    if value not in ("text", "json"):
        raise ValueError
    return value


def log_level(value: str) -> str:
    """one of DEBUG, INFO, WARNING, ERROR."""
    if value.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ValueError
    return value.upper()


def origins(value: str) -> list[str]:
    """a list of origins such as https://arena.example.org, separated by commas."""
    for origin in (found := words(value)):
        if urlsplit(origin).scheme not in ("http", "https") or urlsplit(origin).path not in ("", "/"):
            raise ValueError(f"{origin!r} has no http:// or https://, or has a path")
    return [origin.rstrip("/") for origin in found]


def _with_scheme(value: str, schemes: tuple[str, ...]) -> str:
    if urlsplit(value).scheme not in schemes:
        raise ValueError("it must begin with one of: " + ", ".join(f"{scheme}://" for scheme in schemes))
    return value


def database_url(value: str) -> str:
    """a database URL."""
    return _with_scheme(value, ("sqlite", "postgres", "postgresql"))


def broker_url(value: str) -> str:
    """a Celery broker URL."""
    return _with_scheme(value, ("redis", "rediss", "redis+socket", "filesystem", "memory", "amqp", "amqps"))


def cache_url(value: str) -> str:
    """a cache URL."""
    return _with_scheme(value, ("file", "redis", "rediss", "database", "memory"))


def storage_url(value: str) -> str:
    """a storage URL."""
    parts = urlsplit(_with_scheme(value, ("file", "s3")))
    if parts.scheme == "file" and (parts.netloc or not parts.path.startswith("/")):
        raise ValueError("a folder is written file:///absolute/path")
    if parts.scheme == "s3" and not parts.netloc:
        raise ValueError("a bucket is written s3://bucket or s3://bucket?endpoint_url=https://...")
    return value


def storage_url_or_none(value: str) -> str:
    """a storage URL, or nothing."""
    return storage_url(value) if value else ""


def email_url(value: str) -> str:
    """a mail server's URL, or nothing."""
    if value and not urlsplit(_with_scheme(value, ("smtp", "smtp+tls", "smtp+ssl"))).hostname:
        raise ValueError("a server is written smtp+tls://user:password@host:587")
    return value


def image_queue(value: str) -> str:
    """gen.cpu, or gen.gpu and its gigabytes."""
    gigabytes_of(value)
    return value


def device(value: str) -> str:
    """cpu, cuda or cuda:N."""
    if not re.fullmatch(r"cpu|cuda(:[0-9]{1,2})?", value):
        raise ValueError
    return value


def seconds(value: str) -> float:
    """a number of seconds, at least 1."""
    number = float(value)
    if not 1 <= number <= 1_000_000:
        raise ValueError
    return number


def size(value: str) -> int:
    """a size such as 512MiB or 4GiB."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*(MiB|GiB)", value.strip())
    if match is None:
        raise ValueError
    return round(float(match[1]) * {"MiB": 2**20, "GiB": 2**30}[match[2]])

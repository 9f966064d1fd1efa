"""Log lines, as text or as one JSON object each, with what they belong to and without what no log may hold."""

import json
import logging
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from evalsite.redaction import Redaction, secrets_of_this_process
from generation import log_context

FIELDS: Final = ("route", "method", "status", "milliseconds", "seconds")
"""What lines may say besides their message, given as `extra`. Anything else that a library attaches stays out."""

OUR_OWN: Final = ("request",)
"""Made by us or by our own proxy; nginx's look like a ballot's token, and without them no line could be found."""


@cache
def redact() -> Redaction:
    """Made at the first line, when the settings are there."""
    return Redaction(secrets_of_this_process())


def _time_of(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fields_of(record: logging.LogRecord) -> dict[str, Any]:
    known = {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
    noted = log_context.noted() or getattr(getattr(record, "request", None), "noted", {})
    return {name: value if name in OUR_OWN else _clean(value) for name, value in {**noted, **known}.items()}


def _clean(value: Any) -> Any:
    """What stands where a name belongs may have come with the address: a token, where somebody put one there."""
    return redact()(value) if isinstance(value, str) else value


def _message_of(record: logging.LogRecord) -> str:
    """The message; where a library puts the address of a page into it, the page's name instead."""
    said = record.getMessage()
    request = getattr(record, "request", None)
    path = getattr(request, "path", "")
    if path and path != "/":
        match = getattr(request, "resolver_match", None)
        said = said.replace(path, getattr(match, "view_name", "") or "an address of no page")
    return said


class TextLines(logging.Formatter):
    """For people: time, level, place, message, and what it belongs to in brackets."""

    def format(self, record: logging.LogRecord) -> str:
        """The line; a traceback comes below it."""
        fields = " ".join(f"{name}={value}" for name, value in _fields_of(record).items())
        said = redact()(f"{_time_of(record)} {record.levelname} {record.name}: {_message_of(record)}")
        trace = redact()(_trace_of(self, record))
        return "\n".join(part for part in (f"{said} [{fields}]" if fields else said, trace) if part)


class JsonLines(logging.Formatter):
    """For programs: one object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The object; a traceback is its `trace`."""
        clean = redact()
        line: dict[str, Any] = {
            "time": _time_of(record),
            "level": record.levelname,
            "logger": record.name,
            "message": clean(_message_of(record)),
            "process": record.process,
            **_fields_of(record),
        }
        if trace := _trace_of(self, record):
            line["trace"] = clean(trace)
        return json.dumps(line, ensure_ascii=False, default=str)


def _trace_of(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    # Not kept on the record: another handler would print it as it is.
    trace = formatter.formatException(record.exc_info) if record.exc_info else record.exc_text or ""
    stack = formatter.formatStack(record.stack_info) if record.stack_info else ""
    return "\n".join(part for part in (trace, stack) if part)

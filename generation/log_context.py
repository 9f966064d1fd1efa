"""What a log line belongs to: request, study, ballot, run, jobs. Kept for each thread; never a token or an address."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

NAMES: Final = ("request", "task", "study", "run", "recipe", "jobs", "ballot")
"""What may be noted. Ids and slugs alone, which tell nobody anything who may not see the rows themselves."""

_noted: ContextVar[dict[str, Any] | None] = ContextVar("log_context", default=None)


def noted() -> dict[str, Any]:
    """What was noted for the work in hand, by name."""
    return _noted.get() or {}


def note(**what: object) -> None:
    """From now on lines also say this, until the block that began the work ends; without such a block nothing does."""
    if unknown := what.keys() - set(NAMES):
        raise ValueError(f"log lines do not carry {', '.join(sorted(unknown))}")
    if (known := _noted.get()) is not None:
        _noted.set({**known, **what})


@contextmanager
def work(**what: object) -> Iterator[None]:
    """A piece of work of its own: what is noted within it is forgotten at its end."""
    before = _noted.set(noted())
    try:
        note(**what)
        yield
    finally:
        _noted.reset(before)

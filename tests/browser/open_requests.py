"""Requests that the server has begun and not answered yet: a test must not end before they do.

A page may have asked for its next pair when its window is closed. The database is emptied after each test; on
PostgreSQL that deadlocks with a request which still holds locks, and what it writes afterwards meets the next test.
"""

import threading
from types import TracebackType
from typing import Any, Self

from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started


class OpenRequests:
    """Counts the server's requests while it is entered; a test client's are not among them."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = threading.Condition()

    def __enter__(self) -> Self:
        request_started.connect(self._started)
        request_finished.connect(self._finished)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        request_started.disconnect(self._started)
        request_finished.disconnect(self._finished)

    def are_answered_within(self, seconds: float) -> bool:
        """Waits for the last answer; False when some are still open after `seconds`."""
        with self._changed:
            return self._changed.wait_for(lambda: self._count == 0, timeout=seconds)

    def _started(self, *, sender: Any, **_: Any) -> None:
        self._add(sender, 1)

    def _finished(self, *, sender: Any, **_: Any) -> None:
        self._add(sender, -1)

    def _add(self, sender: Any, change: int) -> None:
        if isinstance(sender, type) and issubclass(sender, WSGIHandler):
            with self._changed:
                self._count += change
                self._changed.notify_all()

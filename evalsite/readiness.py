"""`/readyz`: may this process be sent requests? Never a long wait, and nothing that a stranger should not know."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from evalsite import health

logger = logging.getLogger(__name__)
SECONDS_TO_ANSWER: Final = 2.0
NEEDED: Final = ("database", "migrations", "storage")
"""The broker is only a hint: without it votes are kept, and images wait."""

Asked = tuple[threading.Thread, list[bool]]


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Each part in a word: ok, failing or silent; 503 where one is missing that pages need."""
    until = time.monotonic() + SECONDS_TO_ANSWER
    asked = {name: question.ask() for name, question in QUESTIONS.items()}
    parts = {name: question.answer(asked[name], until=until) for name, question in QUESTIONS.items()}
    is_ready = all(parts[name] == "ok" for name in NEEDED)
    return JsonResponse({"ready": is_ready, "parts": parts}, status=200 if is_ready else 503)


class Question:
    """One check, in a thread of its own, so that what hangs holds nobody.

    A thread that hangs is left alone, and no second one is started before it comes back, however often somebody asks.
    """

    def __init__(self, name: str, check: Callable[[], bool]) -> None:
        self.name, self._check = name, check
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._said: list[bool] = []

    def ask(self) -> Asked:
        """Begin to find out, unless that is under way."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                # An answer of its own for each thread: another request may ask anew before this one has read it.
                self._said = []
                self._thread = threading.Thread(
                    target=self._find_out, args=(self._said,), name=f"ready: {self.name}", daemon=True
                )
                self._thread.start()
            return self._thread, self._said

    def answer(self, asked: Asked, *, until: float) -> str:
        """What was found out until then, by the monotonic clock."""
        thread, said = asked
        thread.join(max(0.0, until - time.monotonic()))
        if thread.is_alive():
            logger.warning("Not ready: the %s does not answer within %g s.", self.name, SECONDS_TO_ANSWER)
            return "silent"
        return "ok" if said == [True] else "failing"

    def _find_out(self, said: list[bool]) -> None:
        try:
            said.append(self._check())
        except Exception:  # every kind of database has errors of its own; whichever it is, it does not work
            logger.warning("Not ready: the %s fails.", self.name, exc_info=True)
        finally:
            connection.close()


_all_applied = [False]


def _has_all_tables() -> bool:
    """Whether the database is as new as the code, which does not change while this process lives."""
    if not _all_applied[0]:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if missing:
            logger.warning("Not ready: %d migrations are missing; run `manage.py migrate`.", len(missing))
        _all_applied[0] = not missing
    return _all_applied[0]


QUESTIONS: Final = {
    "database": Question("database", lambda: bool(health.CHECKS["database"]()["ok"])),
    "migrations": Question("migrations", _has_all_tables),
    "storage": Question("storage", lambda: bool(health.CHECKS["storage"]()["ok"])),
    "broker": Question("broker", lambda: bool(health.CHECKS["broker"]()["ok"])),
}

"""`/readyz`: may this process be sent requests? Never a long wait, and nothing that a stranger should not know."""

import logging
from typing import Final

from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from evalsite import health
from evalsite.asking import Part, Question, answers

logger = logging.getLogger(__name__)
NEEDED: Final = ("database", "migrations", "storage")
"""The broker is only a hint: without it votes are kept, and images wait."""


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Each part in a word: ok, failing or silent; 503 where one is missing that pages need."""
    parts = {name: _word(part) for name, part in answers(QUESTIONS).items()}
    is_ready = all(parts[name] == "ok" for name in NEEDED)
    return JsonResponse({"ready": is_ready, "parts": parts}, status=200 if is_ready else 503)


def _word(part: Part | None) -> str:
    if part is None:
        return "silent"
    return "ok" if part["ok"] else "failing"


_all_applied = [False]


def _has_all_tables() -> Part:
    """Whether the database is as new as the code, which does not change while this process lives."""
    if not _all_applied[0]:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if missing:
            logger.warning("Not ready: %d migrations are missing; run `manage.py migrate`.", len(missing))
        _all_applied[0] = not missing
    return {"ok": _all_applied[0]}


QUESTIONS: Final = {
    "database": health.QUESTIONS["database"],
    "migrations": Question("list of migrations", _has_all_tables),
    "storage": health.QUESTIONS["storage"],
    "broker": health.QUESTIONS["broker"],
}

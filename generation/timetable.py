"""The queues, and what is sent and when. Plain data: the settings import it before Django is ready."""

from typing import Any, Final

DEFAULT_QUEUE: Final = "default"
GENERATION_QUEUE: Final = "gen.cpu"

SECONDS_BETWEEN_BEATS: Final = 10.0
SECONDS_BETWEEN_RECONCILIATIONS: Final = 15.0
EXIT_HUNG: Final = 75
"""Exit code of a process that asks its supervisor for another: EX_TEMPFAIL of sysexits.h."""
LONGEST_IMAGE_TASK_SECONDS: Final = 6 * 60 * 60
"""Far above the limit of other tasks: weights are loaded and fetched in them, and a hung one ends itself."""


def _every(seconds: float, task: str, *arguments: str, queue: str) -> dict[str, Any]:
    # A message expires with its period: what a busy or absent worker did not take is not worth taking later.
    options = {"queue": queue, "expires": seconds}
    return {"task": f"generation.tasks.{task}", "schedule": seconds, "args": list(arguments), "options": options}


BEAT_SCHEDULE: Final[dict[str, dict[str, Any]]] = {
    "reconcile-image-jobs": _every(SECONDS_BETWEEN_RECONCILIATIONS, "reconcile", queue=DEFAULT_QUEUE),
}

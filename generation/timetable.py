"""The queues, and what Celery's beat sends and when. Plain data: the settings import it before Django is ready."""

from typing import Any, Final

DEFAULT_QUEUE: Final = "default"
GENERATION_QUEUE: Final = "gen.cpu"

SECONDS_BETWEEN_BEATS: Final = 10.0
SECONDS_BETWEEN_RECONCILIATIONS: Final = 15.0


def _every(seconds: float, task: str, *arguments: str, queue: str) -> dict[str, Any]:
    # A message expires with its period: what a busy or absent worker did not take is not worth taking later.
    options = {"queue": queue, "expires": seconds}
    return {"task": f"generation.tasks.{task}", "schedule": seconds, "args": list(arguments), "options": options}


BEAT_SCHEDULE: Final[dict[str, dict[str, Any]]] = {
    "reconcile-image-jobs": _every(SECONDS_BETWEEN_RECONCILIATIONS, "reconcile", queue=DEFAULT_QUEUE),
    "heartbeat-of-default": _every(SECONDS_BETWEEN_BEATS, "heartbeat", DEFAULT_QUEUE, queue=DEFAULT_QUEUE),
    "heartbeat-of-image-makers": _every(SECONDS_BETWEEN_BEATS, "heartbeat", GENERATION_QUEUE, queue=GENERATION_QUEUE),
}

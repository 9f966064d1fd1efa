"""The queues, and what is sent and when. Plain data: the settings import it before Django is ready."""

from typing import Any, Final

DEFAULT_QUEUE: Final = "default"
GENERATION_QUEUE: Final = "gen.cpu"

SECONDS_BETWEEN_SWEEPS: Final = 6 * 60 * 60.0
EXIT_HUNG: Final = 75
"""Exit code of a process that asks its supervisor for another: EX_TEMPFAIL of sysexits.h."""
LONGEST_IMAGE_TASK_SECONDS: Final = 6 * 60 * 60
"""Far above the limit of other tasks: weights are loaded and fetched in them, and a hung one ends itself."""


PERIODS_OF_PATIENCE: Final = 4
"""How many looks for lost work may wait: where all waited for one period only, a busy worker could miss every one."""


def _every(seconds: float, task: str, *arguments: str, queue: str, periods: int = 1) -> dict[str, Any]:
    # A message expires: what a busy or absent worker did not take for long is not worth taking later.
    options = {"queue": queue, "expires": periods * seconds}
    return {"task": f"generation.tasks.{task}", "schedule": seconds, "args": list(arguments), "options": options}


def beat_schedule(*, reconciliations: float) -> dict[str, dict[str, Any]]:
    """What Celery's beat sends, by the seconds between looks for lost work."""
    return {
        "reconcile-image-jobs": _every(reconciliations, "reconcile", queue=DEFAULT_QUEUE, periods=PERIODS_OF_PATIENCE),
        "sweep-image-store": _every(SECONDS_BETWEEN_SWEEPS, "sweep_image_store", queue=DEFAULT_QUEUE),
    }

"""What Celery's beat sends for the arena and when. Plain data: the settings import it before Django is ready."""

from typing import Any, Final

from generation.timetable import DEFAULT_QUEUE

# Raters' copies decide how soon a new image can be voted on, fits how soon a vote is seen to count.
PERIODS: Final = {
    "prepare_display_copies": 5.0,
    "refit_changed": 10.0,
    "refit_boards": 60.0,
    "let_simulated_raters_vote": 10.0,
    "measure_readable_images": 20.0,
    "expire_abandoned_ballots": 60.0,
    "forget_old_networks": 3600.0,
    "forget_old_minutes": 3600.0,
    "thin_out_fits": 3600.0,
    "forget_ended_sessions": 6 * 3600.0,
    "erase_raters_after_retention": 3600.0,
    "judge_changed": 60.0,
    "publish_vote_roots": 3600.0,
    "refresh_pair_plans": 10.0,
    "fold_exposure": 60.0,
}

# A message that no worker took within its period is dropped, or they would pile up while a worker is busy. Where one
# has more to do than time for it, messages wait for longer than a short period, and those of short periods would all be
# dropped as long as that lasts. So what people wait for waits longer: a few at a time; all but the first only look.
WAITED_FOR: Final = ("prepare_display_copies", "refit_changed", "refresh_pair_plans")
PATIENCE_SECONDS: Final = 30.0

BEAT_SCHEDULE: Final[dict[str, dict[str, Any]]] = {
    task.replace("_", "-"): {
        "task": f"arena.tasks.{task}",
        "schedule": seconds,
        "options": {"queue": DEFAULT_QUEUE, "expires": PATIENCE_SECONDS if task in WAITED_FOR else seconds},
    }
    for task, seconds in PERIODS.items()
}

"""Celery's beat for a clock that may be set back: its schedule would otherwise wait until the old time is reached."""

import time
from typing import Any

from celery.beat import PersistentScheduler

SECONDS_OF_DRIFT = 1.0


class SteadyScheduler(PersistentScheduler):
    """Forgets runs in what has become the future, whether the clock is set back while it runs or while it did not."""

    _ahead = float("-inf")

    def setup_schedule(self) -> None:
        """Read the schedule of the last start, whose clock may have been ahead of ours."""
        super().setup_schedule()
        self._forget_the_future()

    def tick(self, *arguments: Any, **options: Any) -> float:
        """Send what is due; seconds until the next look."""
        ahead = time.time() - time.monotonic()
        if ahead < self._ahead - SECONDS_OF_DRIFT:
            self._forget_the_future()
            self._heap = None  # ordered by the old clock; the next tick builds it anew
        self._ahead = ahead
        seconds: float = super().tick(*arguments, **options)
        return seconds

    def _forget_the_future(self) -> None:
        for entry in self.schedule.values():
            now = entry.default_now()
            entry.last_run_at = min(entry.last_run_at or now, now)

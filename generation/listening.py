"""Does this worker still hear its broker? It sends itself messages; where none comes back, the process ends itself.

That a process is alive proves nothing: after a broker's restart a worker may go on without ever asking it again, and
without an error in its log. Runs in the process that supervises the pool, in a thread of its own.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Final

from django.conf import settings

from generation.timetable import EXIT_HUNG

logger = logging.getLogger(__name__)
LOOKS_WITHIN_SILENCE: Final = 4


def end_process(sentence: str) -> None:
    """End this process and its pool, so that the supervisor starts another."""
    logger.critical("%s The process ends itself.", sentence)
    logging.shutdown()
    os._exit(EXIT_HUNG)


class Listening:
    """Sends a message to the worker's own queues every few seconds and judges the silence.

    Several workers share a queue, and one may take the other's message; as each sends, each hears about as many.
    """

    def __init__(
        self,
        *,
        knock: Callable[[], bool],
        is_busy: Callable[[], bool],
        silent_seconds: float,
        end: Callable[[str], None] = end_process,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`knock` sends the messages and says whether the broker took them; a busy worker need not hear any."""
        self._knock, self._is_busy, self._end, self._clock = knock, is_busy, end, clock
        self.silent_seconds = silent_seconds
        self._heard_at = self._reached_since = clock()

    def heard(self) -> None:
        """A message came."""
        self._heard_at = self._clock()

    def look(self) -> None:
        """Send, and end the process where the broker has long taken our messages and never given us one."""
        if not self._knock():
            # Nobody hears anything while the broker is away.
            self._reached_since = self._clock()
            return
        if self._is_busy():
            self.heard()
        silence = self._clock() - max(self._heard_at, self._reached_since)
        if silence > self.silent_seconds:
            self._end(f"The broker takes messages, and none has come to this worker for {silence:.0f} s.")

    def start(self) -> None:
        """Look for as long as the process lives, for the first time now."""
        threading.Thread(target=self._run, name="listening", daemon=True).start()

    def _run(self) -> None:
        pause = min(settings.SECONDS_BETWEEN_BEATS, self.silent_seconds / LOOKS_WITHIN_SILENCE)
        while True:
            self.look()
            time.sleep(pause)

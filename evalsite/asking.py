"""Questions about the parts of the site that hold nobody, however long a part hangs and however often strangers ask."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from django.db import connection

logger = logging.getLogger(__name__)
SECONDS_TO_ANSWER = 2.0
SECONDS_KEPT = 3.0

Part = dict[str, Any]
"""How a part is: `ok`, and what else its page tells."""


class Asked:
    """One answer on its way, and the thread that fetches it."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self.began, self.ended = time.monotonic(), float("inf")
        self.is_there = threading.Event()
        self.part: Part | None = None
        self.is_told = False


class Question:
    """One check, in a thread of its own. What it found is kept for a moment, for everybody who asks meanwhile.

    A thread that hangs is left alone, and no second one is started before it comes back. It is waited for once: whoever
    comes later is told at once that there is no answer.
    """

    def __init__(self, name: str, check: Callable[[], Part]) -> None:
        """`check` may take as long as it likes, and fail as it likes."""
        self.name, self._check = name, check
        self._lock = threading.Lock()
        self._asked: Asked | None = None

    def ask(self) -> Asked:
        """Begin to find out, unless that is under way or was just done."""
        with self._lock:
            if self._asked is None or time.monotonic() - self._asked.ended > SECONDS_KEPT:
                self._asked = Asked()
                name = f"asks: {self.name}"
                threading.Thread(target=self._find_out, args=(self._asked,), name=name, daemon=True).start()
            return self._asked

    def answer(self, asked: Asked) -> Part | None:
        """What was found out; None where that takes longer than SECONDS_TO_ANSWER from when it began."""
        if asked.is_there.wait(max(0.0, asked.began + SECONDS_TO_ANSWER - time.monotonic())):
            return asked.part
        if not asked.is_told:
            asked.is_told = True
            logger.warning("The %s does not answer within %g s.", self.name, SECONDS_TO_ANSWER)
        return None

    def forget(self) -> None:
        """The next one who asks begins anew."""
        with self._lock:
            self._asked = None

    def _find_out(self, asked: Asked) -> None:
        try:
            asked.part = self._check()
        except Exception:  # every kind of service has errors of its own; whichever it is, it does not work
            logger.warning("The %s fails.", self.name, exc_info=True)
            asked.part = {"ok": False, "reason": f"the {self.name} cannot be asked"}
        finally:
            connection.close()
            asked.ended = time.monotonic()
            asked.is_there.set()


def answers(questions: Mapping[str, Question]) -> dict[str, Part | None]:
    """All of them, asked at the same time."""
    asked = {name: question.ask() for name, question in questions.items()}
    return {name: question.answer(asked[name]) for name, question in questions.items()}

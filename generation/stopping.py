"""A worker that was told to stop: between two steps it finishes what is nearly done and gives the rest back."""

import mmap
from typing import Final

# Shared memory without a name: the pool's processes are forked from the one that gets the signal.
_FLAG: Final = mmap.mmap(-1, 1)


class StopAsked(Exception):
    """The batch in work is not finished. No failure: its jobs go back and the attempt does not count."""


def ask_to_stop() -> None:
    """From now on no batch begins in this process and in those forked from it."""
    _FLAG[0] = 1


def forget() -> None:
    """Work on; for tests."""
    _FLAG[0] = 0


def is_asked() -> bool:
    """Whether this process was told to stop."""
    return _FLAG[0] == 1


class StopWatch:
    """Call it after each step: ends the batch where more than the time of one image is left of it."""

    def __init__(self, *, steps: int, images: int) -> None:
        """`steps` are those of the whole batch, all of whose `images` take each step together."""
        self._left = steps
        self._worth_finishing = steps / images

    def __call__(self) -> None:
        """Raises StopAsked."""
        self._left -= 1
        if is_asked() and self._left > self._worth_finishing:
            raise StopAsked

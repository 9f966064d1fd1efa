"""Whether this worker was told to stop. Pool processes get no signal of their own, so they look here."""

import mmap

# Anonymous shared memory, made before the pool is forked: one byte that a signal handler can set without any lock.
_asked = mmap.mmap(-1, 1)


def ask() -> None:
    """Let every process of this worker end its turn after the batch in hand."""
    _asked[0] = 1


def is_asked() -> bool:
    """Whether the worker is shutting down."""
    return _asked[0] == 1

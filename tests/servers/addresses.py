"""Free ports and waiting for a server to listen."""

import itertools
import os
import socket
import time
from collections.abc import Callable

# Below the ports that the kernel gives to every connection: a server may take its port seconds after it was found free.
FIRST, COUNT = 15_000, 15_000
_turns = itertools.count(101 * os.getpid())  # processes that test side by side begin at different places


def free_port() -> int:
    """A port on 127.0.0.1 that nobody listens on now, and another one each time."""
    return next(port for port in (FIRST + turn % COUNT for turn in _turns) if _is_free(port))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def wait_until(is_true: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Poll a condition; fails with AssertionError naming what did not happen in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if is_true():
            return
        time.sleep(0.05)
    raise AssertionError(f"within {seconds:g} seconds it did not happen that {what}")

"""Free ports and waiting for a server to listen."""

import socket
import time
from collections.abc import Callable


def free_port() -> int:
    """A port on 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def wait_until(is_true: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Poll a condition; fails with AssertionError naming what did not happen in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if is_true():
            return
        time.sleep(0.05)
    raise AssertionError(f"within {seconds:g} seconds it did not happen that {what}")

"""What must hold before anything is started, each refusal with what to do."""

import errno
import fcntl
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evalsite.box.errors import BoxError

LEAST_FREE_BYTES = 200 * 1024 * 1024


@contextmanager
def sole_use(data_folder: Path) -> Iterator[None]:
    """Hold the data folder's lock, which the kernel lets go with this process whatever ends it.

    Raises BoxError where another start holds it.
    """
    with (data_folder / "up.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise BoxError(
                f"Winrate already runs on {data_folder} (process {holder}): stop that one first, "
                "or set WINRATE_DATA_DIR to another folder."
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def refuse_full_disk(folder: Path, *, least: int = LEAST_FREE_BYTES) -> None:
    """Refuse to start where images and votes would soon find no room."""
    free = shutil.disk_usage(folder).free
    if free < least:
        raise BoxError(
            f"the disk that holds {folder} is full ({free // 2**20} MB left, {least // 2**20} MB needed): "
            "free some space, or set WINRATE_DATA_DIR to a folder on another disk."
        )


def refuse_taken_port(bind: str, port: int) -> None:
    """Refuse an address that another program listens on, or that is not ours to use."""
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((bind.strip("[]"), port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise BoxError(
                    f"port {port} is taken by another program: choose a free one, for example "
                    f"PORT={port + 1 if port < 65535 else 8000} make up."
                ) from error
            raise BoxError(f"cannot listen on {bind} port {port}: {error.strerror}.") from error

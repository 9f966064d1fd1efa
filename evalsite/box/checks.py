"""What must hold before anything is started, each refusal with what to do."""

import errno
import fcntl
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evalsite.box.errors import BoxError

MOUNTS = Path("/proc/mounts")
LEAST_FREE_BYTES = 200 * 1024 * 1024
NETWORK_FILE_SYSTEMS = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "glusterfs", "lustre", "beegfs", "gpfs", "fuse.sshfs")
)


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


def file_system_of(path: Path, *, mounts: str) -> str:
    """The type of the file system that holds a path, from the text of /proc/mounts; empty where it is not listed."""
    best, kind = "", ""
    for line in mounts.splitlines():
        _, mounted_at, found, *_ = line.split()
        point = mounted_at.encode().decode("unicode_escape")  # spaces are written \040
        is_above = path == Path(point) or Path(point) in path.parents
        if is_above and len(point) >= len(best):
            best, kind = point, found
    return kind


def refuse_network_file_system(database: Path) -> None:
    """SQLite's write-ahead log needs shared memory, which network file systems do not give: votes would be lost."""
    if sys.platform != "linux":
        return
    kind = file_system_of(database.resolve(), mounts=MOUNTS.read_text())
    if kind in NETWORK_FILE_SYSTEMS:
        raise BoxError(
            f"{database} lies on a network file system ({kind}), where SQLite can lose votes: "
            "set WINRATE_DATA_DIR to a local folder, or DATABASE_URL to a PostgreSQL server."
        )


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

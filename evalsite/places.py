"""Where things lie on this machine when nothing is configured: data folder, secret, private Redis."""

import hashlib
import os
import secrets
import tempfile
from pathlib import Path
from urllib.parse import quote

from evalsite.environment import stop

# The kernel cuts a unix socket's path at 108 bytes (104 on macOS), the final NUL included.
LONGEST_SOCKET_PATH = 100
LONGEST_TASK_SECONDS = 300
SET_ANOTHER_FOLDER = "Set WINRATE_DATA_DIR to a folder of yours."


def ensure_data_folder(data_folder: Path) -> None:
    """Make the data folder, readable by its owner alone, or stop with a sentence."""
    try:
        data_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        stop(f"the data folder {data_folder} cannot be made: {error.strerror}. {SET_ANOTHER_FOLDER}")
    if not os.access(data_folder, os.R_OK | os.W_OK | os.X_OK):
        stop(f"the data folder {data_folder} cannot be written. {SET_ANOTHER_FOLDER}")


def kept_secret(data_folder: Path) -> str:
    """The secret key of this data folder, made once even when several processes start together."""
    kept = data_folder / "secret_key"
    if not kept.exists():
        descriptor, draft = tempfile.mkstemp(dir=data_folder, prefix=".secret_key")
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(50))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, kept)  # fails where another process was first: its key is then ours
        except FileExistsError:
            pass
        finally:
            os.unlink(draft)
    return kept.read_text()


def redis_folder(data_folder: Path) -> Path:
    """Where the private Redis keeps its append-only file."""
    return data_folder / "redis"


def redis_socket(data_folder: Path) -> Path:
    """The private Redis's unix socket: in the data folder, or in a short folder of ours where that path is too long."""
    socket = redis_folder(data_folder) / "redis.sock"
    if len(os.fsencode(socket)) <= LONGEST_SOCKET_PATH:
        return socket
    digest = hashlib.sha256(os.fsencode(data_folder)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"winrate-{os.getuid()}-{digest}" / "redis.sock"


def private_redis_url(data_folder: Path) -> str:
    """The broker URL of the private Redis; every command on this data folder comes to the same one."""
    return f"redis+socket://{quote(str(redis_socket(data_folder)))}"

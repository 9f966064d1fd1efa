"""What lies in a backup's folder: a dump of the database, all images under their hashes, and a manifest, written last.

The manifest names the dump that belongs to it, so a backup that is cut off leaves the one before whole.
"""

import hashlib
import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from arena.refusals import Refusal

MANIFEST: Final = "manifest.json"
IMAGES: Final = "images"
SECRET_KEY: Final = "secret_key"  # noqa: S105 - a file's name
DUMPS: Final = {"sqlite": "database-{}.sqlite3", "postgresql": "database-{}.dump"}
FORMAT: Final = 1
_OURS: Final = (MANIFEST, IMAGES, SECRET_KEY)
_CHUNK: Final = 2**20


class BackupError(Refusal):
    """A backup that cannot be taken or restored like this."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, code="backup")


@dataclass(frozen=True)
class Manifest:
    """What a backup holds. `rows` were counted before the dump began, so it holds at least so many."""

    format: int
    taken_at: str
    database: str
    dump: str
    dump_sha256: str
    rows: dict[str, int]
    migrations: list[str]
    images: int
    image_bytes: int

    def write(self, folder: Path) -> None:
        """Whole or not at all."""
        write_whole(folder / MANIFEST, json.dumps(asdict(self), indent=2).encode() + b"\n")


def read_manifest(folder: Path) -> Manifest:
    """Raises BackupError where there is none, or none that this version understands."""
    try:
        said = json.loads((folder / MANIFEST).read_bytes())
        found = Manifest(**said)
    except FileNotFoundError as error:
        raise BackupError(f"{folder} holds no finished backup: {MANIFEST} is missing.") from error
    except (OSError, ValueError, TypeError) as error:
        raise BackupError(f"{folder / MANIFEST} is not a manifest that this version understands: {error}.") from error
    if found.format != FORMAT:
        raise BackupError(f"The backup has format {found.format}, and this version reads {FORMAT}.")
    return found


def prepare(folder: Path) -> None:
    """Make the folder, readable by its owner alone. Raises BackupError where something else lies in it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if others := [path.name for path in folder.iterdir() if not _is_ours(path.name)]:
            raise BackupError(
                f"{folder} holds other things ({min(others)}): name an empty folder, or an earlier backup."
            )
        (folder / IMAGES).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise BackupError(f"{folder} cannot be written: {error.strerror or error}.") from error


def forget_other_dumps(folder: Path, *, kept: str) -> None:
    """Dumps of earlier backups, and what a cut-off one left."""
    for path in folder.iterdir():
        if path.name != kept and (path.name.startswith("database-") or path.name.endswith(".part")):
            path.unlink()


def write_whole(path: Path, data: bytes) -> None:
    """Temporary name, fsync, rename."""
    draft = path.with_name(f".{path.name}-{secrets.token_hex(4)}.part")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)


def sha256_of(path: Path) -> str:
    """Of a file of any size."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _is_ours(name: str) -> bool:
    return name in _OURS or name.startswith("database-") or name.endswith(".part")

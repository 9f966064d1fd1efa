"""Image files under the hash of their bytes, on any Django storage. A name never changes its content."""

import os
import re
import tempfile
from pathlib import Path
from typing import Any

from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, Storage, storages

from generation.errors import GenerationError
from generation.provenance import bytes_digest

STORAGE_ALIAS = "images"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SUFFIX = re.compile(r"\.[a-z0-9]{1,8}")


class AtomicFileSystemStorage(FileSystemStorage):
    """Files appear whole or not at all: temporary name, fsync, rename. Writing an existing name replaces it."""

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        # The name is the content's hash, so a taken name means the same content, or a damaged file that we replace.
        return name

    def _save(self, name: str, content: "File[Any]") -> str:
        target = Path(self.path(name))
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                for chunk in content.chunks():
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, self.file_permissions_mode or 0o644)
            os.replace(temporary, target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        _sync_folder(target.parent)
        return name


def put(data: bytes, *, suffix: str) -> str:
    """Store bytes, once; returns their sha256. `suffix` is ".png", ".webp" and the like.

    A file that is already there is read back and compared: half a file left by a full disk is replaced, not trusted.
    """
    sha256 = bytes_digest(data)
    name = name_of(sha256, suffix=suffix)
    storage = _storage()
    if storage.exists(name) and _content_of(storage, name) == data:
        return sha256
    saved = storage.save(name, ContentFile(data))
    if saved != name:
        storage.delete(saved)
        raise GenerationError(
            f'The storage "{STORAGE_ALIAS}" saved {name} as {saved}; let it overwrite (file_overwrite=True for S3).'
        )
    return sha256


def read(sha256: str, *, suffix: str, verify: bool = False) -> bytes:
    """The stored bytes. With `verify`, they are hashed again, and a damaged file is an error instead of a picture."""
    name = name_of(sha256, suffix=suffix)
    try:
        data = _content_of(_storage(), name)
    except FileNotFoundError as error:
        raise GenerationError(f"{name} is not in the image store; restore it or make it again.") from error
    if verify and bytes_digest(data) != sha256:
        raise GenerationError(f"The file {name} is damaged: its bytes no longer have that hash. Make the image again.")
    return data


def exists(sha256: str, *, suffix: str) -> bool:
    """Whether a file of that name is there; its bytes are not looked at."""
    return _storage().exists(name_of(sha256, suffix=suffix))


def path_or_none(sha256: str, *, suffix: str) -> Path | None:
    """Where the file lies on this machine's disk, for a front server to stream; None for object stores."""
    try:
        return Path(_storage().path(name_of(sha256, suffix=suffix)))
    except NotImplementedError:
        return None


def name_of(sha256: str, *, suffix: str) -> str:
    """The name in the storage; 256 folders, so that none holds more than some thousands of files."""
    if not _SHA256.fullmatch(sha256) or not _SUFFIX.fullmatch(suffix):
        raise ValueError(f"{sha256!r} with suffix {suffix!r} is not a name in the image store.")
    return f"{sha256[:2]}/{sha256}{suffix}"


def _storage() -> Storage:
    return storages[STORAGE_ALIAS]


def _content_of(storage: Storage, name: str) -> bytes:
    with storage.open(name, "rb") as file:
        content: bytes = file.read()
    return content


def _sync_folder(folder: Path) -> None:
    # Without this, a power cut can lose the name of a file whose bytes are safe.
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

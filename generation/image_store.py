"""Image files under the hash of their bytes, on any Django storage. A name never changes its content."""

import os
import re
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, Storage, storages

from generation.errors import GenerationError, StorageError
from generation.provenance import bytes_digest

STORAGE_ALIAS = "images"
FileState = Literal["whole", "missing", "damaged"]
# Runs that found no room go on when a file of this size can be stored: some images, and not one after the other.
BYTES_OF_ROOM = 4 * 2**20
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
    Its age begins anew, so that a sweep for old files without a row does not take it before its row is written.
    Raises StorageError where nothing can be written now.
    """
    sha256 = bytes_digest(data)
    name = name_of(sha256, suffix=suffix)
    place = storage()
    with _failures_named():
        if place.exists(name) and _content_of(place, name) == data and _is_made_young(place, name):
            return sha256
        saved = place.save(name, ContentFile(data))
    if saved != name:
        place.delete(saved)
        raise GenerationError(
            f'The storage "{STORAGE_ALIAS}" saved {name} as {saved}; let it overwrite (file_overwrite=True for S3).'
        )
    return sha256


def read(sha256: str, *, suffix: str, verify: bool = False) -> bytes:
    """The stored bytes. With `verify`, they are hashed again, and a damaged file is an error instead of a picture."""
    name = name_of(sha256, suffix=suffix)
    try:
        data = _content_of(storage(), name)
    except FileNotFoundError as error:
        raise GenerationError(f"{name} is not in the image store; restore it or make it again.") from error
    if verify and bytes_digest(data) != sha256:
        raise GenerationError(f"The file {name} is damaged: its bytes no longer have that hash. Make the image again.")
    return data


def exists(sha256: str, *, suffix: str) -> bool:
    """Whether a file of that name is there; its bytes are not looked at."""
    return storage().exists(name_of(sha256, suffix=suffix))


def state_of(sha256: str, *, suffix: str) -> FileState:
    """Whether a file is there and its bytes still have their hash."""
    try:
        data = _content_of(storage(), name_of(sha256, suffix=suffix))
    except FileNotFoundError:
        return "missing"
    return "whole" if bytes_digest(data) == sha256 else "damaged"


def has_room() -> bool:
    """Whether a file of some size can be stored now; it is taken away again."""
    name = f"health/room-{secrets.token_hex(8)}"
    try:
        with _failures_named():
            saved = storage().save(name, ContentFile(bytes(BYTES_OF_ROOM)))
            storage().delete(saved)
    except StorageError:
        return False
    return True


def free_bytes() -> int | None:
    """Room left where files are kept; None for object stores, and where the folder is not there yet."""
    place = storage()
    folder = Path(place.location) if isinstance(place, FileSystemStorage) else None
    return shutil.disk_usage(folder).free if folder is not None and folder.is_dir() else None


def path_or_none(sha256: str, *, suffix: str) -> Path | None:
    """Where the file lies on this machine's disk, for a front server to stream; None for object stores."""
    try:
        return Path(storage().path(name_of(sha256, suffix=suffix)))
    except NotImplementedError:
        return None


def front_address(sha256: str, *, suffix: str) -> str:
    """The name, for a front server that fetches the file itself; for a bucket with the signature that opens it."""
    name = name_of(sha256, suffix=suffix)
    if is_folder():
        return name
    signature = urlsplit(storage().url(name)).query
    return f"{name}?{signature}" if signature else name


def is_folder() -> bool:
    """Whether files lie in a folder, so that another program on this machine may read them."""
    return isinstance(storage(), FileSystemStorage)


def name_of(sha256: str, *, suffix: str) -> str:
    """The name in the storage; 256 folders, so that none holds more than some thousands of files."""
    if not _SHA256.fullmatch(sha256) or not _SUFFIX.fullmatch(suffix):
        raise ValueError(f"{sha256!r} with suffix {suffix!r} is not a name in the image store.")
    return f"{sha256[:2]}/{sha256}{suffix}"


def storage() -> Storage:
    """The storage that STORAGE_URL names."""
    return storages[STORAGE_ALIAS]


@contextmanager
def _failures_named() -> Iterator[None]:
    try:
        yield
    except failures_of_storages() as error:
        place = storage()
        where = getattr(place, "location", "") if isinstance(place, FileSystemStorage) else f"bucket {_bucket(place)}"
        said = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise StorageError(f"The image store ({where}) cannot be written: {said}.", is_retryable=True) from error


def failures_of_storages() -> tuple[type[Exception], ...]:
    """What a storage raises that is full or away."""
    # An object store's own errors can only come from a library that is loaded, and loading it here would cost seconds.
    botocore = sys.modules.get("botocore.exceptions")
    return (OSError,) if botocore is None else (OSError, botocore.ClientError, botocore.BotoCoreError)


def _bucket(place: Storage) -> str:
    return str(getattr(place, "bucket_name", STORAGE_ALIAS))


def _is_made_young(place: Storage, name: str) -> bool:
    try:
        os.utime(place.path(name))
    except (NotImplementedError, FileNotFoundError):
        return False  # an object store, or a sweep took the file this moment: it is written again
    return True


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

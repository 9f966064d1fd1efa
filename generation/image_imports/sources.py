"""Where the files of an import come from: a folder, a zip archive read in memory, or files at hand."""

import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from generation.image_imports.pictures import too_large
from generation.image_imports.rows import LONGEST_NAME, MOST_FILE_BYTES, MOST_FILES, ImageImportError

MOST_ZIP_ENTRIES: Final = 20_000
MOST_ZIP_DIRECTORY: Final = 16 * 1024 * 1024
MOST_ZIP_BYTES: Final = 16 * 1024**3  # all entries together, uncompressed
_END_OF_DIRECTORY: Final = b"PK\x05\x06"
_CLUTTER: Final = frozenset({"thumbs.db", "desktop.ini"})


class Source(Protocol):
    """Named files; names are relative, with slashes."""

    def names(self) -> list[str]:
        """All files in their order."""

    def read(self, name: str) -> bytes:
        """The bytes of one file. Raises ImageImportError where it is missing, too large or leads elsewhere."""


class FilesAtHand:
    """Files that are in memory already, such as those of a request."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = dict(files)

    def names(self) -> list[str]:
        return list(self._files)

    def read(self, name: str) -> bytes:
        if name not in self._files:
            raise _missing(name)
        return self._files[name]


class Folder:
    """The files below a folder; nothing outside it is ever opened."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def names(self) -> list[str]:
        found: list[str] = []
        for folder, folders, files in os.walk(self._root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(files):
                if not name.startswith(".") and name.casefold() not in _CLUTTER:
                    found.append((Path(folder) / name).relative_to(self._root).as_posix())
            if len(found) > MOST_FILES:
                raise ImageImportError(f"there are more than {MOST_FILES:,} files", remedy="import them in parts")
        return found

    def read(self, name: str) -> bytes:
        path = self._inside(name)
        try:
            with path.open("rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise ImageImportError("this is no ordinary file", remedy="name an image file", file_name=name)
                data = file.read(MOST_FILE_BYTES + 1)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise _missing(name) from None
        except OSError as error:
            raise ImageImportError(
                f"it cannot be read ({error.strerror})", remedy="check the file and its rights", file_name=name
            ) from error
        return _limited(data, name)

    def _inside(self, name: str) -> Path:
        check_name(name)
        path = (self._root / name).resolve()
        if not path.is_relative_to(self._root):
            raise _leads_out(name)
        if path.is_fifo():  # opening one would wait for ever
            raise ImageImportError("this is no ordinary file", remedy="name an image file", file_name=name)
        return path


class Zip:
    """The members of a zip archive, read one by one into memory; nothing is extracted to a path."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._members = {
            member.filename: member
            for member in archive.infolist()
            if not member.is_dir() and not _is_clutter(member.filename)
        }

    def names(self) -> list[str]:
        return list(self._members)

    def read(self, name: str) -> bytes:
        member = self._members.get(name)
        if member is None:
            raise _missing(name)
        try:
            with self._archive.open(member) as file:
                return _limited(file.read(MOST_FILE_BYTES + 1), name)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as broken:
            raise ImageImportError(
                "this entry of the archive is damaged or packed in an unusual way",
                remedy="pack the folder again as a plain zip",
                file_name=name,
            ) from broken


@contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """The folder or the zip archive at a path."""
    if path.is_dir():
        yield Folder(path)
        return
    _check_directory_size(path)
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as broken:
        raise ImageImportError(
            "the zip archive cannot be read", remedy="pack it again", file_name=path.name
        ) from broken
    with archive:
        _check_members(archive, path.name)
        yield Zip(archive)


def check_name(name: str) -> None:
    """Refuse a name that could lead out of its folder, or that no file system or page can show safely."""
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or (len(name) > 1 and name[1] == ":"):
        raise _leads_out(name)
    if not name.strip() or any(len(part) > LONGEST_NAME for part in parts) or len(name) > 4 * LONGEST_NAME:
        raise ImageImportError(
            f"a file name has {len(name)} characters, not 1 to {LONGEST_NAME}", remedy="rename it", file_name=name
        )
    if not name.isprintable():
        raise ImageImportError(
            "a file name holds a control character or one that changes the direction of writing",
            remedy="rename it",
            file_name=name,
        )


def _is_clutter(name: str) -> bool:
    last = name.rpartition("/")[2]
    return last.startswith(".") or last.casefold() in _CLUTTER or name.startswith("__MACOSX/")


def _limited(data: bytes, name: str) -> bytes:
    if len(data) > MOST_FILE_BYTES:
        refusal = too_large()
        refusal.file_name = name
        raise refusal
    return data


def _missing(name: str) -> ImageImportError:
    return ImageImportError("there is no such file", remedy="add it or remove the row", file_name=name)


def _leads_out(name: str) -> ImageImportError:
    return ImageImportError(
        "a file name leads out of the folder of the import", remedy="use names relative to it", file_name=name
    )


def _check_directory_size(path: Path) -> None:
    """Refuse by the last bytes of the archive, before zipfile reads a list of a million entries into memory."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 65_557))
        tail = file.read()
    at = tail.rfind(_END_OF_DIRECTORY)
    if at < 0 or len(tail) < at + 22:
        raise ImageImportError(
            "this is neither a folder nor a zip archive",
            remedy="name a folder, a zip, or a manifest (.csv, .tsv, .jsonl)",
            file_name=path.name,
        )
    entries, directory_bytes = struct.unpack_from("<HI", tail, at + 10)
    if entries > MOST_ZIP_ENTRIES or directory_bytes > MOST_ZIP_DIRECTORY:
        raise ImageImportError(
            f"the archive has more than {MOST_ZIP_ENTRIES:,} entries",
            remedy="unpack it and import the folder",
            file_name=path.name,
        )


def _check_members(archive: zipfile.ZipFile, file_name: str) -> None:
    total = 0
    for member in archive.infolist():
        name = member.filename
        if not member.is_dir():
            check_name(name)
        if stat.S_ISLNK(member.external_attr >> 16):
            raise ImageImportError("the archive holds a link", remedy="pack the files themselves", file_name=name)
        if member.flag_bits & 1:
            raise ImageImportError("the archive is encrypted", remedy="pack it without a password", file_name=name)
        if member.file_size > MOST_FILE_BYTES:
            refusal = too_large()
            refusal.file_name = name
            raise refusal
        if name.casefold().endswith((".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")):
            raise ImageImportError("the archive holds another archive", remedy="unpack that one first", file_name=name)
        total += member.file_size
    if total > MOST_ZIP_BYTES:
        raise ImageImportError(
            f"the archive unpacks to more than {MOST_ZIP_BYTES // 1024**3} GB",
            remedy="unpack it and import the folder",
            file_name=file_name,
        )

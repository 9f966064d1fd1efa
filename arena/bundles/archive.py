"""A zip from anywhere, read within limits: no entry leads anywhere, none is larger than it says, none is unnamed."""

from __future__ import annotations

import hashlib
import json
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, TypeVar

from pydantic import ValidationError

from arena.batches import Progress
from arena.bundles import layout
from arena.bundles.layout import BundleError, Manifest, Row
from arena.bundles.writing import name_of_bundle

MOST_DIRECTORY: Final = 256 * 2**20
MOST_LINE: Final = 2**20
# A fit holds matrices of all contenders, a root one number for each rater.
MOST_LINES: Final = {layout.FITS: 64 * 2**20, layout.ROOTS: 32 * 2**20}
# An empty list takes two bytes of JSON and 64 of memory: what is read at once is bounded by its values besides.
MOST_VALUES: Final = 4_000_000
MOST_PICTURE: Final = 32 * 2**20
# How large an entry may be. Rows are read one at a time, so that their files may be large.
MOST_BYTES: Final = {layout.MANIFEST: 96 * 2**20, layout.DESIGN: 96 * 2**20, layout.FITS: 1024 * 2**20}
MOST_TABLE: Final = 64 * 2**30
# Rows of votes are packed 10 to 40 times smaller; what shrinks far more was made to fill a disk.
MOST_PACKED: Final = 400
_FREE: Final = 10 * 2**20
_CHUNK: Final = 2**20
_TOLD_EVERY: Final = 1_000
_PICTURE: Final = re.compile(r"images/([0-9a-f]{64})\.png")
_END_OF_DIRECTORY: Final = b"PK\x05\x06"
_BROKEN: Final = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, struct.error)

AnyRow = TypeVar("AnyRow", bound=Row)


class Archive:
    """An open bundle whose table of contents was checked; its files are checked while they are read to their end."""

    def __init__(self, archive: zipfile.ZipFile, path: Path) -> None:
        self._archive, self._name = archive, path.name
        self._follow: Callable[[str, int, int], None] | None = None
        self._entries = {entry.filename: entry for entry in archive.infolist()}
        self.manifest = self._manifest()
        self.name = name_of_bundle({name: facts.model_dump() for name, facts in self.manifest.files.items()})

    def follow(self, progress: Progress | None, act: str) -> None:
        """Tell how many lines of a file were read, every thousand of them."""
        self._follow = progress and (lambda name, number, said: progress(f"{act} {name}", number, said))

    @property
    def pictures(self) -> list[str]:
        """sha256 of the pictures in it."""
        return [found[1] for name in self.manifest.files if (found := _PICTURE.fullmatch(name))]

    def design(self) -> layout.Design:
        return self._parsed(layout.Design, self._whole(layout.DESIGN), layout.DESIGN)

    def rows(self, name: str, kind: type[AnyRow]) -> Iterator[AnyRow]:
        """The lines of a file, checked one by one; its size and hash are compared at its end.

        None where the bundle is of a version that had no such file.
        """
        if name not in self.manifest.files:
            return
        number, most, said = 0, MOST_LINES.get(name, MOST_LINE), self.manifest.files[name].rows or 0
        with self._reading(name) as (file, seen):
            while line := file.readline(most + 1):
                number += 1
                if len(line) > most:
                    raise self.fault(name, f"line {number} is longer than {most >> 20} MB")
                if number > said:
                    raise self.fault(name, f"has more lines than the {said:,} that the table of contents says")
                seen.add(line)
                if self._follow and (number % _TOLD_EVERY == 0 or number == said):
                    self._follow(name, number, said)
                yield self._parsed(kind, line, f"{name}, line {number}")
        if number != said:
            raise self.fault(name, f"has {number:,} lines where the table of contents says {said:,}")

    def picture(self, sha256: str) -> bytes:
        """The bytes of a picture, whose name is their hash."""
        name = f"{layout.PICTURES}{sha256}.png"
        data = self._whole(name)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise self.fault(name, "is not the file that its name says")
        return data

    def fault(self, name: str, reason: str) -> BundleError:
        return BundleError(f"{self._name}, {name}: {reason}.")

    def _manifest(self) -> Manifest:
        if layout.MANIFEST not in self._entries:
            raise BundleError(f"{self._name}: has no {layout.MANIFEST}, so it is no bundle of a study.")
        data = self._read(layout.MANIFEST)
        self._refuse_too_many_values(data, layout.MANIFEST)
        self._refuse_another_format(data)
        manifest = self._parsed(Manifest, data, layout.MANIFEST)
        tables = layout.TABLES_OF[manifest.version]
        needed = {layout.DESIGN, *tables}
        if missing := sorted(needed - set(manifest.files)):
            raise self.fault(layout.MANIFEST, f"does not list {missing[0]}")
        for name in manifest.files:
            if name not in needed and not _PICTURE.fullmatch(name):
                raise self.fault(layout.MANIFEST, f"lists {name[:80]!r}, which is nothing that a bundle holds")
            if name in tables:
                self._check_rows(name, manifest.files[name].rows)
        listed = {layout.MANIFEST, *manifest.files}
        if unlisted := sorted(set(self._entries) - listed):
            raise BundleError(f"{self._name}: holds {unlisted[0][:80]!r}, which its table of contents does not list.")
        if absent := sorted(listed - set(self._entries)):
            raise BundleError(f"{self._name}: lacks {absent[0][:80]!r}, which its table of contents lists.")
        return manifest

    def _check_rows(self, name: str, rows: int | None) -> None:
        if rows is None:
            raise self.fault(layout.MANIFEST, f"does not say how many rows {name} has")
        if rows > layout.MOST_ROWS[name]:
            raise self.fault(name, f"has {rows:,} rows, and {layout.MOST_ROWS[name]:,} is the most that can be read")

    def _refuse_too_many_values(self, data: bytes, place: str) -> None:
        """Each value but the first follows a bracket, a brace or a comma: counting these takes no memory."""
        if len(data) > MOST_VALUES and sum(map(data.count, (b",", b"[", b"{"))) > MOST_VALUES:
            raise self.fault(place, f"holds more than {MOST_VALUES:,} values")

    def _refuse_another_format(self, data: bytes) -> None:
        """A newer version has other fields: say so before they are complained about."""
        try:
            said = json.loads(data, object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            raise self.fault(layout.MANIFEST, "is not one JSON object") from error
        if not isinstance(said, dict) or said.get("format") != layout.FORMAT:
            raise self.fault(layout.MANIFEST, f"does not say that this is a {layout.FORMAT}")
        if not isinstance(said.get("version"), int) or said["version"] not in layout.TABLES_OF:
            read = " and ".join(map(str, layout.TABLES_OF))
            version = repr(said.get("version"))[:50]
            raise self.fault(layout.MANIFEST, f"is of version {version}; this site reads versions {read}")

    def _parsed(self, kind: type[AnyRow], data: bytes, place: str) -> AnyRow:
        self._refuse_too_many_values(data, place)
        try:
            return kind.model_validate_json(data)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(str(part) for part in first["loc"])
            reason = f"{field}: {first['msg']}" if field else first["msg"]
            raise self.fault(place, reason[:300].rstrip(".")) from error

    def _whole(self, name: str) -> bytes:
        parts = []
        with self._reading(name) as (file, seen):
            while chunk := file.read(_CHUNK):
                seen.add(chunk)
                parts.append(chunk)
        return b"".join(parts)

    def _read(self, name: str) -> bytes:
        """The manifest, which nothing lists."""
        most = MOST_BYTES[name]
        try:
            with self._archive.open(self._entries[name]) as file:
                data = file.read(most + 1)
        except _BROKEN as error:
            raise self.fault(name, "is damaged or packed in an unusual way") from error
        if len(data) > most:
            raise self.fault(name, f"is larger than {most >> 20} MB")
        return data

    @contextmanager
    def _reading(self, name: str) -> Iterator[tuple[IO[bytes], _Seen]]:
        said = self.manifest.files[name]
        seen = _Seen(said.bytes)
        try:
            with self._archive.open(self._entries[name]) as file:
                yield file, seen
        except _TooMuch as error:
            raise self.fault(
                name, f"is larger than the {said.bytes:,} bytes that the table of contents says"
            ) from error
        except _BROKEN as error:
            raise self.fault(name, "is damaged or packed in an unusual way") from error
        if seen.digest.hexdigest() != said.sha256 or seen.size != said.bytes:
            raise self.fault(name, "is not as it was written: its checksum differs")


class _TooMuch(Exception):
    """An entry that goes on after its end."""


class _Seen:
    """Bytes as they pass, counted and hashed."""

    def __init__(self, most: int) -> None:
        self._most, self.size, self.digest = most, 0, hashlib.sha256()

    def add(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > self._most:
            raise _TooMuch
        self.digest.update(data)


@contextmanager
def open_bundle(path: Path) -> Iterator[Archive]:
    """The bundle at a path, its table of contents checked. Raises BundleError."""
    try:
        _check_directory(path)
        archive = zipfile.ZipFile(path)
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}.") from error
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise BundleError(f"{path.name}: is no zip archive, or a damaged one.") from error
    with archive:
        _check_entries(archive, path.name)
        yield Archive(archive, path)


def _check_directory(path: Path) -> None:
    """By the last bytes, before a list of a million entries is read into memory."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 65_557))
        tail = file.read()
    at = tail.rfind(_END_OF_DIRECTORY)
    if at < 0 or len(tail) < at + 22:
        raise BundleError(f"{path.name}: is no zip archive, or a damaged one.")
    (size,) = struct.unpack_from("<I", tail, at + 12)
    # An archive of more than 65,535 entries or 4 GB says it in a record before, which zipfile then believes.
    if at >= 76 and tail[at - 20 : at - 16] == b"PK\x06\x07":
        (size,) = struct.unpack_from("<Q", tail, at - 76 + 40)
    if size > MOST_DIRECTORY:
        raise BundleError(f"{path.name}: lists more entries than a bundle has.")


def _check_entries(archive: zipfile.ZipFile, file_name: str) -> None:
    seen: set[str] = set()
    if len(archive.infolist()) > layout.MOST_PICTURES + len(layout.TABLES) + 2:
        raise BundleError(f"{file_name}: lists more entries than a bundle has.")
    for entry in archive.infolist():
        name = entry.filename
        at = f"{file_name}, {name[:80]!r}"
        is_picture = _PICTURE.fullmatch(name)
        if name not in (layout.MANIFEST, layout.DESIGN, *layout.TABLES) and not is_picture:
            raise BundleError(f"{at}: is nothing that a bundle holds.")
        if name in seen:
            raise BundleError(f"{at}: is there twice.")
        if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):
            raise BundleError(f"{at}: is no ordinary file.")
        if entry.flag_bits & 1:
            raise BundleError(f"{at}: is encrypted; pack the bundle without a password.")
        most = MOST_PICTURE if is_picture else MOST_BYTES.get(name, MOST_TABLE)
        if entry.file_size > most:
            raise BundleError(f"{at}: is larger than {most >> 20:,} MB.")
        if entry.file_size > _FREE and entry.file_size > MOST_PACKED * max(1, entry.compress_size):
            raise BundleError(f"{at}: is packed {entry.file_size // max(1, entry.compress_size):,} times smaller.")
        seen.add(name)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there twice")
    return found

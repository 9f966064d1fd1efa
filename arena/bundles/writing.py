"""A study into a zip, a row at a time: memory does not grow with the votes, only by some bytes for each ballot."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, Final

from django.contrib.auth.models import User
from django.utils import timezone

from arena import fitting
from arena.audit import note
from arena.bundles import layout
from arena.bundles.layout import BundleError
from arena.bundles.moments import one_moment
from arena.bundles.telling import Teller
from arena.models import Study
from generation import image_store
from generation.errors import GenerationError
from generation.provenance import digest_of

_PACKAGES: Final = ("Django", "numpy", "scipy", "choix", "pillow")
_LINES_AT_ONCE: Final = 1_000
# The same for all bundles, so that equal content gives equal bytes.
_ENTRY_TIME: Final = (2000, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Exported:
    """What was written. `name` is that of the bundle: a hash over everything in it."""

    name: str
    rows: dict[str, int]
    pictures: int
    size_bytes: int


def export_study(
    study: Study,
    path: Path,
    *,
    with_images: bool = False,
    is_public: bool = False,
    actor: User | None = None,
    fits_first: bool = True,
) -> Exported:
    """Write the study's bundle; it appears at `path` whole or not at all. Raises BundleError.

    All of it is as of one moment, and voting goes on meanwhile. Raters stand under names made for this bundle.
    `is_public` also leaves out the row numbers and hashes of the vote chains and rounds times down to the hour. Without
    `fits_first` the fits that there are go along.
    """
    if study.state == Study.State.DRAFT:
        raise BundleError(f"The study {study.name!r} has not opened: there is nothing to fit again.", code="draft")
    if fits_first:
        fitting.refit(study)
    descriptor, name = _draft_beside(path)
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file, one_moment():
            exported = _write(file, Teller(study, is_public=is_public), with_images=with_images)
        draft.chmod(0o644)
        size = draft.stat().st_size
        draft.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        draft.unlink(missing_ok=True)
    note(study, actor, "study exported", bundle=exported.name, public=is_public, images=with_images)
    return Exported(exported.name, exported.rows, exported.pictures, size)


def versions() -> dict[str, str]:
    """What the numbers of a fit depend on."""
    found = {name: version(name) for name in _PACKAGES}
    return {
        "fit": str(fitting.OPTIONS["method"]),
        "python": platform.python_version(),
        "machine": platform.machine(),
        **found,
    }


def _draft_beside(path: Path) -> tuple[int, str]:
    try:
        return tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.stem}-", suffix=".zip")
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> BundleError:
    return BundleError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}.", code="unwritable")


def _write(file: IO[bytes], teller: Teller, *, with_images: bool) -> Exported:
    files: dict[str, dict[str, Any]] = {}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        files[layout.DESIGN] = _put(archive, layout.DESIGN, iter([_json(teller.design())]))
        rows = {
            layout.RATERS: teller.raters,
            layout.IMAGES: teller.images,
            layout.BALLOTS: teller.ballots,
            layout.VOTES: teller.votes,
            layout.EXCLUSIONS: teller.exclusions,
            layout.RULE_TIES: teller.rule_ties,
            layout.ROOTS: teller.roots,
            layout.FITS: teller.fits,
            layout.GOLD: teller.golds,
            layout.CHECKS: teller.checks,
            layout.FLAGS: teller.flags,
            layout.METRICS: teller.metrics,
        }
        for name, lines in rows.items():
            files[name] = _put(archive, name, _lines(lines()), is_table=True)
        pictures = 0
        for sha256 in teller.pictures() if with_images else ():
            name = f"{layout.PICTURES}{sha256}.png"
            files[name] = _put(archive, name, iter([_picture(sha256)]), compression=zipfile.ZIP_STORED)
            pictures += 1
        manifest = {
            "format": layout.FORMAT,
            "version": layout.VERSION,
            "study": teller.study.slug,
            "made_at": timezone.now().astimezone(UTC).isoformat(),
            "public": teller.is_public,
            "pictures": with_images,
            "versions": versions(),
            "files": files,
        }
        _put(archive, layout.MANIFEST, iter([_json(manifest)]))
    counts = {name: facts["rows"] for name, facts in files.items() if "rows" in facts}
    return Exported(name_of_bundle(files), counts, pictures, 0)


def name_of_bundle(files: dict[str, dict[str, Any]]) -> str:
    """A hash over the hashes of all files: the same for a bundle wherever it goes."""
    return digest_of(sorted([name, facts["sha256"]] for name, facts in files.items()))


def _put(
    archive: zipfile.ZipFile,
    name: str,
    chunks: Iterator[bytes],
    *,
    compression: int = zipfile.ZIP_DEFLATED,
    is_table: bool = False,
) -> dict[str, Any]:
    entry = zipfile.ZipInfo(name, _ENTRY_TIME)
    entry.compress_type, entry.external_attr = compression, 0o644 << 16
    digest, size, rows = hashlib.sha256(), 0, 0
    with archive.open(entry, "w", force_zip64=True) as file:
        for chunk in chunks:
            file.write(chunk)
            digest.update(chunk)
            size += len(chunk)
            rows += chunk.count(b"\n") if is_table else 0
    facts: dict[str, Any] = {"sha256": digest.hexdigest(), "bytes": size}
    return facts | {"rows": rows} if is_table else facts


def _lines(rows: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    """JSON lines, some at a time: one write of the zip for each would take most of the time."""
    waiting: list[bytes] = []
    for row in rows:
        waiting.append(_json(row))
        if len(waiting) == _LINES_AT_ONCE:
            yield b"\n".join(waiting) + b"\n"
            waiting.clear()
    if waiting:
        yield b"\n".join(waiting) + b"\n"


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _json(value: Any) -> bytes:
    # An encoder of its own: json.dumps would build one for every row.
    return _ENCODER.encode(value).encode()


def _picture(sha256: str) -> bytes:
    try:
        return image_store.read(sha256, suffix=".png", verify=True)
    except GenerationError as error:
        raise BundleError(f"An image cannot be exported: {error} Or export hashes only.", code="lost_image") from error

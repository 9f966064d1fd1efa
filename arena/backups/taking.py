"""Take a backup while the site runs: the database first, then the files.

In this order, because a file is there before any row mentions it and its content never changes: whatever the dump
mentions can still be copied after it. Files that came in between are copied too, and no row mentions them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from django.conf import settings
from django.core.files.storage import Storage
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from arena.backups import dumps, layout
from arena.backups.layout import BackupError, Manifest
from arena.models import AuditEvent, Vote
from generation import image_store
from generation.provenance import bytes_digest

_FOLDER: Final = re.compile(r"[0-9a-f]{2}")
_IMAGE: Final = re.compile(r"(?P<sha256>[0-9a-f]{64})\.[a-z0-9]{1,8}")
# Of these, none is ever deleted.
KEPT: Final = (Vote, AuditEvent)


@dataclass(frozen=True)
class Taken:
    """What was done: the manifest, how many images were new to the folder, names of files that are not whole."""

    manifest: Manifest
    copied: int
    damaged: list[str]


def take(folder: Path) -> Taken:
    """A backup in a folder; one that holds an earlier backup keeps the images that it has. Raises BackupError."""
    layout.prepare(folder)
    now = timezone.now()
    rows = {model._meta.label: model._base_manager.count() for model in KEPT}
    migrations = sorted(".".join(key) for key in MigrationRecorder(connection).applied_migrations())
    dump = folder / layout.DUMPS[connection.vendor].format(now.strftime("%Y%m%dT%H%M%S%f"))
    try:
        dumps.dump(dump)
        copied, damaged = _copy_images(folder / layout.IMAGES)
        _keep_secret_key(folder)
        manifest = _manifest(folder, now=now, dump=dump, rows=rows, migrations=migrations)
        manifest.write(folder)
        layout.forget_other_dumps(folder, kept=dump.name)
    except OSError as error:
        dump.unlink(missing_ok=True)
        raise BackupError(f"{folder} cannot be written: {error.strerror or error}.") from error
    return Taken(manifest=manifest, copied=copied, damaged=damaged)


def _manifest(folder: Path, *, now: datetime, dump: Path, rows: dict[str, int], migrations: list[str]) -> Manifest:
    sizes = [path.stat().st_size for path in (folder / layout.IMAGES).glob("*/*") if _IMAGE.fullmatch(path.name)]
    return Manifest(
        format=layout.FORMAT,
        taken_at=now.isoformat(timespec="seconds"),
        database=connection.vendor,
        dump=dump.name,
        dump_sha256=layout.sha256_of(dump),
        rows=rows,
        migrations=migrations,
        images=len(sizes),
        image_bytes=sum(sizes),
    )


def _copy_images(target: Path) -> tuple[int, list[str]]:
    """How many were new, and which are not copied because their bytes no longer have their hash."""
    storage, copied, damaged = image_store.storage(), 0, []
    for name in _names_in(storage):
        place = target / name
        if place.exists():  # by its name it holds the same bytes
            continue
        try:
            with storage.open(name, "rb") as file:
                data = file.read()
        except FileNotFoundError:  # swept away meanwhile, so no row mentions it
            continue
        if bytes_digest(data) != place.stem:
            damaged.append(name)
            continue
        place.parent.mkdir(mode=0o700, exist_ok=True)
        layout.write_whole(place, data)
        copied += 1
    return copied, damaged


def _names_in(storage: Storage) -> Iterator[str]:
    try:
        folders, _ = storage.listdir("")
    except FileNotFoundError:  # nothing was stored yet
        return
    for folder in sorted(filter(_FOLDER.fullmatch, folders)):
        _, names = storage.listdir(folder)
        yield from (f"{folder}/{name}" for name in sorted(filter(_IMAGE.fullmatch, names)))


def _keep_secret_key(folder: Path) -> None:
    """The key of the data folder, where the site uses that one: without it every rater would have to join again."""
    kept = Path(settings.DATA_DIR) / "secret_key"
    if kept.exists() and kept.read_text() == settings.SECRET_KEY:
        layout.write_whole(folder / layout.SECRET_KEY, kept.read_bytes())

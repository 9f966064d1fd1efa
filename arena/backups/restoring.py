"""Make a site again from a backup: an empty database and an image store that may hold files already.

Files first and the database last: one that is cut off leaves an empty database, and is simply started again.
"""

from dataclasses import dataclass
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.utils.module_loading import import_string

from arena.backups import dumps, layout
from arena.backups.layout import BackupError, Manifest, read_manifest
from generation import image_store
from generation.errors import GenerationError
from generation.lost_files import KeptFiles
from generation.provenance import bytes_digest

_OTHER = {"sqlite": "SQLite: unset DATABASE_URL", "postgresql": "PostgreSQL: set DATABASE_URL to an empty database"}


@dataclass(frozen=True)
class Restored:
    """What was done: rows that are there now, images that the store took, files that rows name and nobody has."""

    manifest: Manifest
    rows: dict[str, int]
    images: int
    missing: list[str]
    needs_migration: bool
    has_key: bool


def restore(folder: Path) -> Restored:
    """Fill this site. Raises BackupError with what to do; nothing is in the database then."""
    manifest = read_manifest(folder)
    _refuse(manifest, folder)
    dumps.refuse_filled_database()
    images = _take_images(folder / layout.IMAGES)
    has_key = _take_secret_key(folder)
    dumps.fill(folder / manifest.dump)
    rows = {label: apps.get_model(label)._base_manager.count() for label in manifest.rows}
    executor = MigrationExecutor(connection)
    return Restored(
        manifest=manifest,
        rows=rows,
        images=images,
        missing=_missing(),
        needs_migration=bool(executor.migration_plan(executor.loader.graph.leaf_nodes())),
        has_key=has_key,
    )


def _refuse(manifest: Manifest, folder: Path) -> None:
    if manifest.database != connection.vendor:
        raise BackupError(f"The backup is one of {_OTHER.get(manifest.database, manifest.database)}.")
    known = {".".join(key) for key in MigrationLoader(None).disk_migrations}
    if unknown := sorted(set(manifest.migrations) - known):
        raise BackupError(
            f"The backup comes from a newer version of Winrate ({unknown[-1]} is unknown here): use that version."
        )
    dump = folder / manifest.dump
    if not dump.is_file():
        raise BackupError(f"{dump} is missing: restore an earlier backup.")
    if layout.sha256_of(dump) != manifest.dump_sha256:
        raise BackupError(f"{dump} is not what was written ({layout.MANIFEST} knows its hash): restore an earlier one.")


def _take_images(folder: Path) -> int:
    taken = 0
    for path in sorted(folder.glob("??/*")):
        data = path.read_bytes()
        if bytes_digest(data) != path.stem:
            raise BackupError(f"{path} is damaged: its bytes no longer have that hash. Take it from an earlier backup.")
        try:
            image_store.put(data, suffix=path.suffix)
        except GenerationError as error:
            raise BackupError(str(error)) from error
        taken += 1
    return taken


def _take_secret_key(folder: Path) -> bool:
    """Put the key into the data folder, unless the environment gives one; processes read it when they start."""
    given, kept = folder / layout.SECRET_KEY, Path(settings.DATA_DIR) / "secret_key"
    if not given.exists() or not kept.exists() or kept.read_text() != settings.SECRET_KEY:
        return False
    layout.write_whole(kept, given.read_bytes())
    return True


def _missing() -> list[str]:
    """Files that rows name and the store lacks. All that came were hashed on the way."""
    owners: list[type[KeptFiles]] = [import_string(path) for path in settings.KEPT_FILES]
    return [
        image_store.name_of(sha256, suffix=suffix)
        for owner in owners
        for sha256, suffix in owner().files()
        if not image_store.exists(sha256, suffix=suffix)
    ]

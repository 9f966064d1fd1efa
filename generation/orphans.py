"""Files in the image store that no row mentions: left by killed workers, lost races and rows deleted since."""

import logging
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from django.apps import apps
from django.core.files.storage import Storage
from django.db import models
from django.utils import timezone

from generation import image_store
from generation.errors import GenerationError
from generation.models import StagedImage
from generation.planning import in_chunks

logger = logging.getLogger(__name__)

# Between a file and its row lie seconds, a worker's lease and a retry at most. A day leaves room for a wrong clock.
SAFE_AGE: Final = timedelta(hours=24)
LEAST_AGE: Final = timedelta(hours=1)
NAMES_IN_A_CHUNK: Final = 500
# Beyond both, a sweep that nobody watches deletes nothing: the database may be an old one, restored from a backup.
MOST_UNWATCHED: Final = 100
MOST_UNWATCHED_SHARE: Final = 0.1

_IMAGE = re.compile(r"(?P<folder>[0-9a-f]{2})/(?P<sha256>(?P=folder)[0-9a-f]{62})\.[a-z0-9]{1,8}")
_LEFTOVER = re.compile(r"([0-9a-f]{2}/\.[^/]*\.part|health/[^/]*)")


@dataclass(frozen=True)
class Orphan:
    """A file that nothing mentions, by its name in the storage."""

    name: str
    size_bytes: int
    age: timedelta


@dataclass(frozen=True)
class Look:
    """What one look at the store found. Foreign files have names that are not ours; they are never touched."""

    files: int
    foreign: int
    orphans: list[Orphan]


def look(*, older_than: timedelta = SAFE_AGE) -> Look:
    """Go through the whole store; orphans are image files and leftovers of writing, older than the given age."""
    storage = image_store.storage()
    files = foreign = 0
    orphans: list[Orphan] = []
    for names in in_chunks(_names_below(storage, ""), size=NAMES_IN_A_CHUNK):
        hashes = {name: found["sha256"] for name in names if (found := _IMAGE.fullmatch(name))}
        leftovers = [name for name in names if _LEFTOVER.fullmatch(name)]
        files += len(names)
        foreign += len(names) - len(hashes) - len(leftovers)
        known = mentioned(hashes.values())
        unmentioned = [name for name, sha256 in hashes.items() if sha256 not in known]
        orphans += _old_ones(storage, [*unmentioned, *leftovers], older_than)
    return Look(files=files, foreign=foreign, orphans=orphans)


def mentioned(hashes: Iterable[str]) -> set[str]:
    """Those of the hashes that any row of any app mentions, in whatever column whose name ends in `sha256`."""
    wanted = list(hashes)
    found: set[str] = set()
    for model, column in hash_columns():
        if wanted:
            rows = model._base_manager.filter(**{f"{column}__in": wanted})
            found |= set(rows.order_by().values_list(column, flat=True))
    if wanted:  # uploads that wait to be taken in
        staged = StagedImage.objects.filter(picture__file_sha256__in=wanted)
        found |= set(staged.order_by().values_list("picture__file_sha256", flat=True))
    return found


def hash_columns() -> list[tuple[type[models.Model], str]]:
    """Where rows may mention a file. By name and not by list: a model that is added keeps its files without a word."""
    return [
        (model, field.name)
        for model in apps.get_models()
        for field in model._meta.concrete_fields
        if isinstance(field, models.CharField) and field.name.endswith("sha256")
    ]


def delete(orphans: Iterable[Orphan], *, older_than: timedelta = SAFE_AGE) -> int:
    """Delete what is still an orphan; how many. A file that a worker stored again meanwhile stays.

    Raises GenerationError for an age at which a running job may still need the file.
    """
    if older_than < LEAST_AGE:
        raise GenerationError("Files younger than an hour may belong to images that are being made; they are kept.")
    storage = image_store.storage()
    return sum(_delete_one(storage, orphan, older_than) for orphan in orphans)


def sweep() -> int:
    """What the default worker does by itself: delete orphans older than a day, unless there are suspiciously many."""
    found = look()
    count = len(found.orphans)
    if count > max(MOST_UNWATCHED, MOST_UNWATCHED_SHARE * found.files):
        logger.error(
            "%d of %d files in the image store belong to no row, too many to delete unwatched: is this the right"
            " database? If it is, run sweep_images --delete.",
            *(count, found.files),
        )
        return 0
    deleted = delete(found.orphans)
    if deleted:
        logger.info("%d files in the image store that belonged to no row were deleted.", deleted)
    return deleted


def _names_below(storage: Storage, folder: str) -> Iterator[str]:
    try:
        folders, names = storage.listdir(folder)
    except FileNotFoundError:  # nothing was stored yet
        return
    yield from (f"{folder}/{name}" if folder else name for name in names if name)
    for inner in folders:
        yield from _names_below(storage, f"{folder}/{inner}" if folder else inner)


def _old_ones(storage: Storage, names: Iterable[str], older_than: timedelta) -> Iterator[Orphan]:
    now = timezone.now()
    for name in names:
        try:
            age = now - storage.get_modified_time(name)
            if age > older_than:
                yield Orphan(name=name, size_bytes=storage.size(name), age=age)
        except FileNotFoundError:  # a writer has renamed or removed it
            continue


def _delete_one(storage: Storage, orphan: Orphan, older_than: timedelta) -> bool:
    try:
        path = Path(storage.path(orphan.name))
    except NotImplementedError:  # an object store, where nothing can be set aside: the last look is the best there is
        if not _is_still_orphan(storage, orphan.name, orphan.name, older_than):
            return False
        storage.delete(orphan.name)
        return True
    # Set aside first. A worker that stores the same picture now either refreshes the age before, which is seen below,
    # or finds the name gone and writes the file anew.
    aside = f"{orphan.name.rpartition('/')[0]}/.{path.name.lstrip('.')}.part"
    try:
        os.replace(path, storage.path(aside))
    except FileNotFoundError:
        return False
    if _is_still_orphan(storage, orphan.name, aside, older_than):
        Path(storage.path(aside)).unlink()
        return True
    os.replace(storage.path(aside), path)
    return False


def _is_still_orphan(storage: Storage, name: str, lies_at: str, older_than: timedelta) -> bool:
    found = _IMAGE.fullmatch(name)
    is_mentioned = found is not None and bool(mentioned([found["sha256"]]))
    return not is_mentioned and any(_old_ones(storage, [lies_at], older_than))

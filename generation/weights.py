"""Which weights this machine holds, and getting those that it lacks: from the weights' store, or a pinned repository.

What comes from elsewhere lands in a folder of its own, complete and checked or not at all.
"""

import fcntl
import logging
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Final

from django.conf import settings
from django.core.files.storage import Storage, storages

from generation import adapters, choosing, image_store, model_folders
from generation.capabilities import can_serve
from generation.errors import GenerationError
from generation.heartbeats import living_workers
from generation.models import Checkpoint, ImageJob
from generation.provenance import text_digest

logger = logging.getLogger(__name__)

ROOM_BESIDE: Final = 2**30
"""Bytes that stay free on the disk that weights are fetched to."""
SECONDS_A_LOOK_HOLDS: Final = 60.0
CHUNK: Final = 2**20
SECONDS_AFTER_A_FAILURE: Final = 600.0
"""For so long weights that could not be had keep no other work waiting for another try."""
_PINNED: Final = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)@([0-9a-f]{40})")
_failed_at: dict[int, float] = {}
_seen: dict[str, tuple[float, bool]] = {}


def held() -> dict[Checkpoint, Path]:
    """Ready checkpoints whose files lie on this machine, each with the folder of its pipeline."""
    ready = Checkpoint.objects.filter(state=Checkpoint.State.READY).order_by("pk")
    return {checkpoint: folder for checkpoint in ready if (folder := _folder_or_none(checkpoint))}


def fetchable() -> list[Checkpoint]:
    """Ready checkpoints that this machine lacks and knows where to get."""
    at_hand = held()
    lacking = [one for one in Checkpoint.objects.filter(state=Checkpoint.State.READY) if one not in at_hand]
    return [checkpoint for checkpoint in lacking if _is_on_offer(checkpoint)]


def runnable_here(at_hand: dict[Checkpoint, Path] | None = None) -> list[int]:
    """Checkpoints that this worker can run now: it holds their files, and is as large a machine as they need."""
    return [
        one.pk for one in (held() if at_hand is None else at_hand) if can_serve(settings.IMAGE_QUEUE, needs=one.needs)
    ]


def can_fetch(checkpoint: Checkpoint) -> bool:
    """Whether every part that is not on this machine can be had from elsewhere."""
    lacking = _lacking(checkpoint)
    return bool(lacking) and all(_is_in_store(place) or _pinned(place) for place in lacking)


def _is_on_offer(checkpoint: Checkpoint) -> bool:
    """The same, where a store that is away offers nothing: other work goes on."""
    try:
        return can_fetch(checkpoint)
    except GenerationError:
        return False


def ensure(checkpoint: Checkpoint) -> None:
    """Get what this machine lacks of a checkpoint; what nobody offers is left to whoever opens it, with a sentence.

    Raises a retryable GenerationError where the store is away.
    """
    for place in _lacking(checkpoint):
        ensure_place(checkpoint, place)


def ensure_place(checkpoint: Checkpoint, place: str) -> None:
    """Get one part of a checkpoint where this machine lacks it and somebody offers it."""
    if not _is_here(place) and (_pinned(place) or _is_in_store(place)):
        fetch(checkpoint, place)


def fetch_most_urgent() -> bool:
    """Get the weights of the due jobs that come first among those that lack them here; whether any were got."""
    return _fetch_first(_wanted(), choosing.candidates)


def fetch_overdue() -> bool:
    """Get weights that jobs have waited for too long, although there is other work; whether any were got.

    Only where no living worker holds them: it would otherwise come to those jobs by their age.
    """
    held_elsewhere = {name for names in living_workers().values_list("weights", flat=True) for name in names}
    now = time.monotonic()
    wanted = {
        pk: checkpoint
        for pk, checkpoint in _wanted().items()
        if checkpoint.name not in held_elsewhere and now - _failed_at.get(pk, float("-inf")) > SECONDS_AFTER_A_FAILURE
    }
    return bool(wanted) and _fetch_first(wanted, choosing.overdue)


def _wanted() -> dict[int, Checkpoint]:
    return {one.pk: one for one in fetchable() if can_serve(settings.IMAGE_QUEUE, needs=one.needs)}


def _fetch_first(wanted: dict[int, Checkpoint], choose: Callable[..., list[ImageJob]]) -> bool:
    for job in choose(checkpoints=list(wanted)):
        checkpoint = wanted[job.recipe.checkpoint_id or 0]
        try:
            ensure(checkpoint)
        except GenerationError as error:
            _failed_at[checkpoint.pk] = time.monotonic()
            logger.warning("The weights of %s cannot be fetched: %s", checkpoint, error)
            continue
        return True
    return False


def fetch(checkpoint: Checkpoint, place: str) -> None:
    """Get one folder, or file, from elsewhere and check it before it stands under its name.

    Raises GenerationError with a sentence; what was got in part is thrown away.
    """
    target = Path(settings.FETCHED_ROOT) / place
    draft = Path(settings.FETCHED_ROOT) / f".draft-{text_digest(place)[:16]}"
    with _alone(place):
        if target.exists():
            return
        began = time.monotonic()
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        try:
            got = draft / PurePosixPath(place).name
            if pinned := _pinned(place):
                _from_hub(*pinned, got)
            else:
                _from_store(place, got)
            _check(checkpoint, place, got)
            target.parent.mkdir(parents=True, exist_ok=True)
            got.rename(target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    logger.info("Fetched the weights %s in %.0f s.", place, time.monotonic() - began)


def _check(checkpoint: Checkpoint, place: str, got: Path) -> None:
    source = got.relative_to(settings.FETCHED_ROOT).as_posix()
    model_folders.check_files(source)
    of_base = {name: digest for name, digest in checkpoint.file_hashes.items() if not name.startswith(adapters.PREFIX)}
    if of_base and place == adapters.parts_of(checkpoint).base:
        try:
            model_folders.verify(source, of_base)
        except GenerationError as error:
            raise GenerationError(f"What was fetched as {place!r} is refused: {error}") from error


def _lacking(checkpoint: Checkpoint) -> list[str]:
    parts = adapters.parts_of(checkpoint)
    return [place for place in (parts.base, *(one.path for one in parts.adapters)) if not _is_here(place)]


def _is_here(place: str) -> bool:
    try:
        model_folders.place_of(place)
    except GenerationError:
        return False
    return True


def _folder_or_none(checkpoint: Checkpoint) -> Path | None:
    return None if _lacking(checkpoint) else model_folders.folder_of(adapters.parts_of(checkpoint).base)


def _pinned(place: str) -> tuple[str, str] | None:
    """Repository and commit of a folder that is named by both, whether a checkpoint or an adapter names it."""
    found = _PINNED.fullmatch(place)
    return (found[1], found[2]) if found else None


def _store() -> Storage | None:
    return storages["weights"] if settings.WEIGHTS_URL else None


def _is_in_store(place: str) -> bool:
    store = _store()
    if store is None:
        return False
    model_folders.check_source(place)
    looked_at, was_there = _seen.get(place, (float("-inf"), False))
    if time.monotonic() - looked_at > SECONDS_A_LOOK_HOLDS:
        was_there = _look_for(place, store)
        _seen[place] = (time.monotonic(), was_there)
    return was_there


_away: dict[str, tuple[float, str]] = {}


def _look_for(place: str, store: Storage) -> bool:
    """Whether the store has it. One that is away is left alone for a while: asking takes as long as it may take."""
    found_at, sentence = _away.get(settings.WEIGHTS_URL, (float("-inf"), ""))
    if time.monotonic() - found_at <= SECONDS_A_LOOK_HOLDS:
        raise GenerationError(sentence, is_retryable=True)
    try:
        return next(_files_in(store, place), None) is not None
    except image_store.failures_of_storages() as error:
        sentence = f"The store of weights does not answer, it is asked again in a minute: {error}"
        _away[settings.WEIGHTS_URL] = (time.monotonic(), sentence)
        logger.warning(sentence)
        raise GenerationError(sentence, is_retryable=True) from error


def _files_in(store: Storage, place: str) -> Iterator[str]:
    """Names of all files below a place in the store, or the place itself where it is a file."""
    try:
        folders, files = store.listdir(place)
    except (FileNotFoundError, NotADirectoryError):
        folders, files = [], []
    if not folders and not files and store.exists(place):
        yield place
    for file in files:
        if file:  # an object store may hold an entry for the folder itself
            yield f"{place}/{file}"
    for folder in folders:
        yield from _files_in(store, f"{place}/{folder}")


def _from_store(place: str, target: Path) -> None:
    store = _store()
    if store is None:
        raise GenerationError("No store of weights is set; give one with WINRATE_WEIGHTS_URL.")
    try:
        _copy(store, place, target)
    except image_store.failures_of_storages() as error:
        raise GenerationError(f"The weights {place} cannot be fetched now: {error}", is_retryable=True) from error


def _copy(store: Storage, place: str, target: Path) -> None:
    names = list(_files_in(store, place))
    _refuse_full_disk(place, needed=sum(store.size(name) for name in names))
    for name in names:
        relative = PurePosixPath(name).relative_to(place)
        if ".." in relative.parts:
            raise GenerationError(f"The store names a file {name!r}, which leads out of its folder.")
        path = target / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        with store.open(name) as source, path.open("wb") as file:
            for chunk in source.chunks(CHUNK):
                file.write(chunk)


def _from_hub(repository: str, commit: str, target: Path) -> None:
    """In a process of its own: this one may have been told to stay offline, and needs no key of the hub."""
    target.mkdir(parents=True)
    free = shutil.disk_usage(target).free - ROOM_BESIDE
    done = subprocess.run(  # noqa: S603 - our own module, and arguments that are checked when a checkpoint is entered
        [sys.executable, "-m", "generation.hub_download", repository, commit, str(target), str(free)],
        cwd=settings.BASE_DIR,
        env=os.environ | {"HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no message"])[-1][:500]
        raise GenerationError(f"{repository}@{commit} cannot be had from the hub: {said}")


def _refuse_full_disk(place: str, *, needed: int) -> None:
    root = Path(settings.FETCHED_ROOT)
    root.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(root).free < needed + ROOM_BESIDE:
        raise GenerationError(
            f"The weights {place} are {needed / 1e9:.1f} GB, and {root} has no room for them; free some, or set"
            " WINRATE_DATA_DIR to a larger disk."
        )


@contextmanager
def _alone(place: str) -> Iterator[None]:
    """One process of this machine fetches a place; the others wait and find it there."""
    root = Path(settings.FETCHED_ROOT)
    root.mkdir(parents=True, exist_ok=True)
    with (root / f".lock-{text_digest(place)[:16]}").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

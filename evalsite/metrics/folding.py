"""What ended processes counted goes into one small file, so that killed ones leave neither files nor gaps."""

import contextlib
import fcntl
import logging
import os
import struct
from collections import defaultdict
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Final

from prometheus_client.mmap_dict import MmapedDict

logger = logging.getLogger(__name__)
KINDS: Final = ("counter", "histogram")
ENDED: Final = "ended"


@contextlib.contextmanager
def locked(folder: Path, how: int) -> Generator[None]:
    """The folder's lock: readers share it (LOCK_SH), for while counts move they stand in two files at once."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


def fold_ended(folder: Path) -> None:
    """Move the counts of all processes that are no more, and their files with them.

    Called in gunicorn's master, which nothing of this may end or hold up: where somebody reads, or the disk is full,
    the files stay for the next time.
    """
    try:
        with locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB):
            for kind in KINDS:
                ended = [file for file in sorted(folder.glob(f"{kind}_*.db")) if _has_ended(file)]
                _fold(ended, into=folder / f"{kind}_{ENDED}.db")
    except (OSError, ValueError, RuntimeError, struct.error) as error:
        logger.warning("What an ended process counted stays in a file of its own for now: %s", error)


def _has_ended(file: Path) -> bool:
    process = file.stem.partition("_")[2]
    if not process.isdigit():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _fold(files: Iterable[Path], *, into: Path) -> None:
    sums: defaultdict[str, float] = defaultdict(float)
    moved = list(files)
    for file in (*moved, into):
        if file.exists():
            for key, value, _, _ in MmapedDict.read_all_values_from_file(file):  # type: ignore[no-untyped-call]
                sums[key] += value
    if moved:
        fresh = into.with_suffix(".new")
        fresh.write_bytes(_as_file(sums))
        fresh.replace(into)
    for file in moved:
        file.unlink()


def _as_file(sums: dict[str, float]) -> bytes:
    """As prometheus_client lays out its files, written at once: through memory, a full disk would kill the master."""
    rows = b""
    for key, value in sums.items():
        name = key.encode().rstrip()
        padded = name + b" " * (8 - (len(name) + 4) % 8)
        rows += struct.pack(f"i{len(padded)}sdd", len(name), padded, value, 0.0)
    return struct.pack("ii", 8 + len(rows), 0) + rows

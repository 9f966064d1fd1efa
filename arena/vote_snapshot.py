"""A study's votes as columns in a file, so that a fit need not fetch them row by row.

Only a copy of rows that never change: what was undone or excluded is asked of the database each time. A missing,
damaged or foreign file costs one slow reading, and never changes a number.
"""

import logging
import os
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
from django.conf import settings
from django.utils import timezone
from numpy.typing import NDArray

from arena.models import Study, Vote
from arena.ranking.tallies import BOTH_BAD, LEFT, RIGHT, TIE
from generation.provenance import digest_of

PEOPLE: Final = "people"
SIMULATED: Final = "simulated"
ANONYMOUS: Final = "anonymous"
STRATA: Final = (PEOPLE, SIMULATED, ANONYMOUS)

ROW: Final = np.dtype(
    [
        *((name, "i8") for name in ("pk", "criterion", "left", "right", "rater", "prompt")),
        ("outcome", "u1"),
        ("stratum", "u1"),
    ]
)
Rows = NDArray[np.void]

# A vote gets its number before its transaction ends, so one with a lower number may still land. Votes are kept in the
# file only when they are older than any transaction should last; younger ones are read from the database each time.
WINDOW: Final = timedelta(minutes=10)
# The file is written anew when so many votes, or this share of it, have come of age: less often than they are read.
FEWEST_NEW: Final = 1_000
SHARE_NEW: Final = 0.02

_FORMAT: Final = 1
_OUTCOMES: Final = {"left": LEFT, "tie": TIE, "right": RIGHT, "both_bad": BOTH_BAD}
_COLUMNS: Final = (
    *("pk", "criterion", "left_contender", "right_contender", "rater", "study_prompt", "choice", "stratum"),
    "cast_at",
)
_BATCH: Final = 10_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class StudyVotes:
    """The countable votes of a study, all criteria, in the order of their ids. `newest` is the last id, 0 without."""

    rows: Rows

    @property
    def newest(self) -> int:
        return int(self.rows["pk"][-1]) if len(self.rows) else 0


def study_votes(study: Study) -> StudyVotes:
    """All countable votes there are now: the old ones from the file, the rest from the database."""
    kept = _load(study)
    fresh, settled = _fetch(study, after=kept.newest)
    rows = np.concatenate([kept.rows, fresh]) if len(kept.rows) else fresh
    if settled >= max(FEWEST_NEW, SHARE_NEW * len(kept.rows)):
        _keep(study, rows[: len(kept.rows) + settled])
    return StudyVotes(rows)


def rebuild(study: Study) -> StudyVotes:
    """The same from the database alone; the file is replaced, or goes where too few votes have come of age."""
    rows, settled = _fetch(study, after=0)
    if settled >= FEWEST_NEW:
        _keep(study, rows[:settled])
    else:
        path_of(study).unlink(missing_ok=True)
    return StudyVotes(rows)


def path_of(study: Study) -> Path:
    """Where the file of a study lies. It holds ids and answers, nothing personal."""
    return Path(settings.DATA_DIR) / "votes" / f"study-{study.pk}.npz"


def _fetch(study: Study, *, after: int) -> tuple[Rows, int]:
    """Votes with a higher id, in order, and how many of the first of them have come of age."""
    votes = Vote.objects.countable().filter(study=study, pk__gt=after).order_by("pk").values_list(*_COLUMNS)
    horizon = timezone.now() - WINDOW
    settled, is_young = 0, False

    def rows() -> Iterator[tuple[Any, ...]]:
        nonlocal settled, is_young
        for *ids, choice, stratum, cast_at in votes.iterator(chunk_size=_BATCH):
            is_young = is_young or cast_at > horizon
            settled += not is_young
            # A stratum that no setting counts is as good as any other of its kind.
            code = STRATA.index(stratum) if stratum in STRATA else len(STRATA)
            yield (*ids, _OUTCOMES[choice], code)

    found = np.fromiter(rows(), dtype=ROW)
    return found, settled


def _load(study: Study) -> StudyVotes:
    """What the file holds, if it is whole and of this very study; else nothing."""
    nothing = StudyVotes(np.empty(0, dtype=ROW))
    path = path_of(study)
    try:
        # The archive keeps a checksum of every column, which is compared while it is read.
        with np.load(path, allow_pickle=False) as file:
            rows = np.empty(len(file["pk"]), dtype=ROW)
            for name in ROW.names or ():
                rows[name] = file[name]
            mark = str(file["mark"])
    except FileNotFoundError:
        return nothing
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        _log.warning("%s is damaged and will be made anew: %s", path, error)
        return nothing
    if not len(rows) or mark != _mark(study, int(rows["pk"][-1]), len(rows)):
        _log.warning("%s is not of the votes of this study and will be made anew.", path)
        return nothing
    return StudyVotes(rows)


def _mark(study: Study, newest: int, number: int) -> str:
    """Of a study and its vote with this id: differs for a database that was restored or begun anew."""
    last = Vote.objects.filter(pk=newest, study=study).values_list("cast_at", "chain_hash").first()
    if last is None:
        return ""
    cast_at, chain_hash = last
    times = [(moment - _EPOCH) // timedelta(microseconds=1) for moment in (study.created_at, cast_at)]
    return digest_of([_FORMAT, study.pk, newest, number, *times, chain_hash])


def _keep(study: Study, rows: Rows) -> None:
    """Replace the file at once. Where that fails, fits only stay slower."""
    path = path_of(study)
    columns: dict[str, Any] = {name: rows[name] for name in ROW.names or ()}
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                np.savez(file, mark=np.array(_mark(study, int(rows["pk"][-1]), len(rows))), **columns)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, path)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
    except OSError as error:
        _log.warning("%s cannot be written: %s", path, error)

"""A board as a zip: its tables and fits, and the votes behind them, so that anybody can fit it again."""

import csv
import io
import json
import os
import secrets
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from django.contrib.auth.models import User
from django.utils import timezone
from numpy.typing import NDArray

from arena.audit import note
from arena.board_fitting import OPTIONS, current_fits, saw_only
from arena.board_sources import BoardSources
from arena.models import Board, BoardFit
from arena.refusals import Refusal
from arena.vote_files.cells import escaped
from generation.models import Prompt

if TYPE_CHECKING:
    from arena.board_votes import PooledVotes

FORMAT: Final = "winrate board"
FORMAT_VERSION: Final = 1
BOARD: Final = "board.json"
VOTES: Final = ("study", "left", "right", "outcome", "rater", "prompt", "weight")
OUTCOMES: Final = ("left", "tie", "right", "both_bad")  # by their numbers
_ESTIMATES: Final = ("log_strength", "standard_error", "low", "high", "rank_low", "rank_high", "tier")
_COUNTS: Final = ("votes", "wins", "ties", "losses")
_ENDS: Final = ("", "_low", "_high")
_SHARES: Final = ("preferred_to_reference", "win", "tie", "loss")
_HISTORY: Final = ("log_strength", "low", "high", "rank_low", "rank_high", "preferred_to_reference")
_LINES_AT_ONCE: Final = 20_000
Row = Sequence[object]


class BoardExportError(Refusal):
    """A file that a board cannot be written to."""


@dataclass(frozen=True)
class BoardExport:
    """What was written. stale: questions whose votes have changed since the fit that goes along."""

    votes: int
    questions: int
    stale: tuple[str, ...]


def export_board(board: Board, path: Path, *, actor: User | None = None) -> BoardExport:
    """Write a board; it appears at `path` whole or not at all. It is noted down who took it.

    Raters have numbers made for this file; contenders, studies and prompts stand by their places in it, from 0.
    """
    descriptor, name = _draft_beside(path)
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            written = _write(archive, board)
        draft.chmod(0o644)
        draft.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        draft.unlink(missing_ok=True)
    note(None, actor, "board exported", board=board.slug, votes=written.votes)
    return written


@dataclass(frozen=True, eq=False)
class _Numbers:
    """Places of rows of this site in the file."""

    studies: Sequence[int]
    prompts: NDArray[np.int64]
    raters: NDArray[np.int64]
    shuffled: NDArray[np.intp]

    @classmethod
    def of(cls, sources: BoardSources, every: Iterable["PooledVotes"]) -> "_Numbers":
        votes = [stratum.votes for pooled in every for stratum in pooled.strata]
        raters = _labels([each.rater for each in votes])
        drawn = np.random.default_rng(secrets.randbits(128)).permutation(len(raters))
        return cls([study.pk for study in sources.studies], _labels([each.prompt for each in votes]), raters, drawn)


def _labels(columns: Iterable[NDArray[Any] | None]) -> NDArray[np.int64]:
    """Every label that there is once; who nobody is has none."""
    known = [np.unique(column) for column in columns if column is not None]
    every: NDArray[np.int64] = np.unique(np.concatenate(known)) if known else np.zeros(0, dtype=np.int64)
    return every[every >= 0]


def _write(archive: zipfile.ZipFile, board: Board) -> BoardExport:
    # Brings in SciPy: no web process should pay for it before somebody asks for this.
    from arena.board_votes import BoardReader

    sources = BoardSources.of(board)
    reader, here = BoardReader(sources), {study.pk for study in sources.studies}
    votes = {question["key"]: reader.read(question) for question in board.criteria}
    fits = {key: fit for key, fit in current_fits(board).items() if saw_only(fit.sources, here)}
    numbers, questions = _Numbers.of(sources, votes.values()), []
    for question in board.criteria:
        key = question["key"]
        pooled, fit = votes[key], fits.get(key)
        _table(archive, f"votes/{key}.csv", VOTES, _vote_rows(pooled, numbers))
        _table(archive, f"tables/{key}.csv", _table_head(), _table_rows(fit))
        _table(
            archive, f"history/{key}.csv", ("fitted_at", "votes", "contender", *_HISTORY), _history(board, key, here)
        )
        questions.append({**question, **_question(pooled, fit, numbers)})
    _table(archive, "prompts.csv", ("prompt", "category", "text"), _prompt_rows(numbers))
    archive.writestr(BOARD, json.dumps(_told(board, sources, questions), ensure_ascii=False, indent=1))
    stale = tuple(each["key"] for each in questions if each["fit"] is not None and not each["fit"]["is_of_these_votes"])
    return BoardExport(sum(len(each) for each in votes.values()), len(questions), stale)


def _told(board: Board, sources: BoardSources, questions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "exported_at": timezone.now().isoformat(),
        "slug": board.slug,
        "name": board.name,
        "description": board.description,
        "studies": [{"slug": study.slug, "name": study.name} for study in sources.studies],
        "contenders": [
            {
                "id": member.identity,
                "label": member.label,
                "checkpoint": member.checkpoint,
                "family": member.family,
                "steps": member.steps,
            }
            for member in sources.cast.members
        ],
        "questions": questions,
    }


def _question(pooled: "PooledVotes", fit: BoardFit | None, numbers: _Numbers) -> dict[str, Any]:
    """How the votes are to be fitted, and the newest fit."""
    place = {pk: number for number, pk in enumerate(numbers.studies)}
    return {
        "clusters": list(pooled.by),
        "studies_with_sides": [place[part.study.pk] for part in pooled.parts if part.has_sides],
        "studies_with_ties": [place[part.study.pk] for part in pooled.parts if part.may_tie],
        "fit": None
        if fit is None
        else {
            "number": fit.number,
            "fitted_at": fit.created_at.isoformat(),
            "is_of_these_votes": _saw(fit, pooled),
            "votes": fit.vote_count,
            "raters": fit.rater_count,
            "prompts": fit.prompt_count,
            "sources": fit.sources,
            "options": fit.options,
            "code_version": fit.code_version,
            "results": fit.results,
        },
    }


def _saw(fit: BoardFit, pooled: "PooledVotes") -> bool:
    seen, there = (
        {(source["study"], source["selection"], source["votes_digest"]) for source in sources}
        for sources in (fit.sources, [part.source for part in pooled.parts])
    )
    return seen == there and fit.options == OPTIONS


def _vote_rows(pooled: "PooledVotes", numbers: _Numbers) -> Iterator[Row]:
    place = {pk: number for number, pk in enumerate(numbers.studies)}
    for part, stratum in zip(pooled.parts, pooled.strata, strict=True):
        votes, study = stratum.votes, place[part.study.pk]
        for start in range(0, len(votes), _LINES_AT_ONCE):
            rows = slice(start, start + _LINES_AT_ONCE)
            left, right = votes.left[rows].tolist(), votes.right[rows].tolist()
            said = [OUTCOMES[outcome] for outcome in votes.outcome[rows].tolist()]
            raters = _numbered(votes.rater, rows, numbers.raters, numbers.shuffled)
            prompts = _numbered(votes.prompt, rows, numbers.prompts, np.arange(len(numbers.prompts)))
            weights = [1.0] * len(left) if votes.weight is None else votes.weight[rows].tolist()
            unknown = [""] * len(left)
            for line in zip(left, right, said, raters or unknown, prompts or unknown, weights, strict=True):
                yield study, *line


def _numbered(
    column: NDArray[Any] | None, rows: slice, known: NDArray[np.int64], number: NDArray[np.intp]
) -> list[int | str]:
    if column is None:
        return []
    own = column[rows]
    found = number[np.minimum(np.searchsorted(known, own), max(len(known) - 1, 0))] if len(known) else own
    return [place if label >= 0 else "" for place, label in zip(found.tolist(), own.tolist(), strict=True)]


def _table_head() -> tuple[str, ...]:
    shares = tuple(f"{name}{end}" for name in _SHARES for end in _ENDS)
    return ("contender", "id", *_ESTIMATES, *_COUNTS, "studies", *shares)


def _table_rows(fit: BoardFit | None) -> Iterator[Row]:
    """Strongest first."""
    entries = list(fit.results["contenders"]) if fit else []
    for entry in sorted(entries, key=lambda one: (one["log_strength"] is None, -(one["log_strength"] or 0.0))):
        against = entry["against"]
        outcomes = against.get("outcomes") or dict.fromkeys(("win", "tie", "loss"), (None,) * 3)
        shares = (
            *(against[end] for end in ("estimate", "low", "high")),
            *(end for own in outcomes.values() for end in own),
        )
        counts = [entry[name] for name in _COUNTS]
        estimates = [entry[name] for name in _ESTIMATES]
        yield entry["label"], entry["id"], *estimates, *counts, len(entry["studies"]), *shares


def _history(board: Board, key: str, here: set[int]) -> Iterator[Row]:
    fits = board.fits.filter(criterion_key=key).order_by("number")
    for at, votes, sources, standing in fits.values_list("created_at", "vote_count", "sources", "standing").iterator():
        if saw_only(sources, here):
            for identity, known in standing.items():
                yield at.isoformat(), votes, identity, *known[: len(_HISTORY)]


def _prompt_rows(numbers: _Numbers) -> Iterator[Row]:
    found = Prompt.objects.in_bulk(numbers.prompts.tolist())
    for place, pk in enumerate(numbers.prompts.tolist()):
        yield place, found[pk].category, found[pk].text


def _table(archive: zipfile.ZipFile, name: str, head: Row, rows: Iterable[Row]) -> None:
    with archive.open(name, "w", force_zip64=True) as file, io.TextIOWrapper(file, "utf-8", newline="") as text:
        writer = csv.writer(text)
        writer.writerow(head)
        writer.writerows([escaped(cell) for cell in row] for row in rows)


def _draft_beside(path: Path) -> tuple[int, str]:
    try:
        return tempfile.mkstemp(dir=path.parent, prefix=".board-")
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> BoardExportError:
    return BoardExportError(f"{path} cannot be written: {error.strerror}.", code="unwritable", field="file")

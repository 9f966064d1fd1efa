"""A study's counted votes as a file: for its researchers, or for anybody, with nothing that leads to a rater."""

from __future__ import annotations

import csv
import hashlib
import hmac
import io
import json
import os
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from django.contrib.auth.models import User

from arena import preference_rows
from arena.audit import note
from arena.counted_votes import counted_strata
from arena.models import Exclusion, Study, Vote
from arena.refusals import Refusal
from arena.vote_files.cells import escaped

if TYPE_CHECKING:
    import pyarrow.parquet as parquet

FORMATS: Final = (".csv", ".jsonl", ".parquet")
# `rank` reads the first six; the others are for people.
COLUMNS: Final = ("criterion", "left", "right", "choice", "rater", "prompt", "prompt_text", "kind", "cast_at")
RESEARCHERS: Final = ("skip_reason", "milliseconds")
_BATCH: Final = 10_000
_READ: Final = (
    *("criterion__key", "left_contender", "right_contender", "choice", "rater", "study_prompt", "stratum", "cast_at"),
    *("skip_reason", "page_milliseconds", "ballot__left_image__file_sha256", "ballot__right_image__file_sha256"),
)
SHAPES: Final = ("votes", "pickapic", "dpo")
_KINDS: Final = {
    "milliseconds": "int64",
    "ranking_id": "int64",
    "label_0": "float64",
    "label_1": "float64",
} | dict.fromkeys(("has_label", "are_different"), "bool")
Row = dict[str, Any]


class VoteExportError(Refusal):
    """A file that votes cannot be written to."""


@dataclass(frozen=True)
class VoteExport:
    """What was written: votes, skips among the rows besides, and ties by rule that fits count but no vote is.

    left_out: votes that the shape has no place for
    """

    votes: int
    skips: int
    rule_ties: int
    left_out: int = 0


def export_votes(
    study: Study, path: Path, *, is_public: bool, shape: str = "votes", actor: User | None = None
) -> VoteExport:
    """Write the votes that fits count now, and the skips besides, in the order of their ids.

    Raters stand under numbers made for this file alone, so that two public files have none in common; a file for
    researchers names their public ids, as the admin does. Public times are rounded down to the hour. `shape` is votes,
    pickapic (its columns) or dpo (prompt, chosen, rejected: decisive votes on images). The file appears whole or not at
    all. Raises VoteExportError.
    """
    if path.suffix.lower() not in FORMATS:
        raise VoteExportError(
            f"{path.name}: the file must end in {', '.join(FORMATS)}.", code="unknown_format", field="file"
        )
    if shape not in SHAPES:
        raise VoteExportError(
            f"Votes can be written as {', '.join(SHAPES)}, not as {shape[:50]!r}.", code="unknown_shape", field="shape"
        )
    rows = _Counted(_public(_rows(study)) if is_public else _for_researchers(study, _rows(study)))
    columns: tuple[str, ...]
    if shape == "votes":
        told, columns = iter(rows), COLUMNS if is_public else COLUMNS + RESEARCHERS
    elif shape == "pickapic":
        told, columns = preference_rows.pick_a_pic(iter(rows)), preference_rows.PICK_A_PIC
    else:
        told, columns = preference_rows.dpo(iter(rows)), preference_rows.DPO
    try:
        written = _put(path, told, columns)
    except OSError as error:
        raise VoteExportError(
            f"{path} cannot be written: {(error.strerror or str(error)).lower()}.", code="unwritable", field="file"
        ) from error
    note(study, actor, "votes exported", shape=shape, public=is_public, rows=written.rows)
    return VoteExport(
        votes=written.rows - written.skips,
        skips=written.skips,
        rule_ties=study.rule_ties.count(),
        left_out=rows.rows - written.rows,
    )


def _rows(study: Study) -> Iterator[Row]:
    labels = dict(study.contenders.values_list("pk", "label"))
    prompts = {row.pk: (str(row.position + 1), row.prompt.text) for row in study.study_prompts.select_related("prompt")}
    for key, left, right, choice, rater, prompt, stratum, cast_at, reason, milliseconds, *images in _votes(study):
        position, text = prompts[prompt]
        yield {
            "criterion": key,
            "left": labels[left],
            "right": labels[right],
            "choice": choice,
            "rater": rater,
            "prompt": position,
            "prompt_text": text,
            "kind": stratum,
            "cast_at": cast_at,
            "skip_reason": reason,
            "milliseconds": milliseconds,
            "left_image": images[0] or "",
            "right_image": images[1] or "",
        }


def _votes(study: Study) -> Iterator[tuple[Any, ...]]:
    """Counted votes and the skips of the same raters; ids in order, so that sums come out as in a fit."""
    both = Vote.objects.filter(study=study, is_ordinary=True, stratum__in=counted_strata(study)).standing()
    both = both.exclude(pk__in=Exclusion.objects.excluded_vote_ids())
    return both.order_by("pk").values_list(*_READ).iterator(chunk_size=_BATCH)


def _for_researchers(study: Study, rows: Iterator[Row]) -> Iterator[Row]:
    ids = dict(study.raters.values_list("pk", "public_id"))
    for row in rows:
        yield {**row, "rater": ids[row["rater"]], "cast_at": row["cast_at"].isoformat()}


def _public(rows: Iterator[Row]) -> Iterator[Row]:
    salt = secrets.token_bytes(32)  # kept nowhere
    known: dict[int, str] = {}
    for row in rows:
        rater: int = row["rater"]
        if rater not in known:
            known[rater] = hmac.new(salt, str(rater).encode(), hashlib.sha256).hexdigest()[:16]
        moment: datetime = row["cast_at"]
        hour = moment.replace(minute=0, second=0, microsecond=0)
        public = {name: row[name] for name in (*COLUMNS, "left_image", "right_image")}
        yield {**public, "rater": known[rater], "cast_at": hour.isoformat()}


def _put(path: Path, rows: Iterator[Row], columns: tuple[str, ...]) -> _Counted:
    """What was written, by a draft beside the file that takes its place at the end."""
    descriptor, name = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.stem}-", suffix=path.suffix)
    draft = Path(name)
    try:
        write = {".csv": _write_csv, ".jsonl": _write_lines, ".parquet": _write_parquet}[path.suffix.lower()]
        counted = _Counted(rows)
        with os.fdopen(descriptor, "wb") as file:
            write(file, counted, columns)
        draft.chmod(0o644)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return counted


class _Counted:
    """Rows as they pass, counted."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._source, self.rows, self.skips = rows, 0, 0

    def __iter__(self) -> Iterator[Row]:
        for row in self._source:
            self.rows += 1
            self.skips += row["choice"] == Vote.Choice.SKIP
            yield row


def _write_csv(file: IO[bytes], rows: _Counted, columns: tuple[str, ...]) -> None:
    with io.TextIOWrapper(file, encoding="utf-8", newline="") as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow([escaped(row[name]) for name in columns])


def _write_lines(file: IO[bytes], rows: _Counted, columns: tuple[str, ...]) -> None:
    for row in rows:
        line = json.dumps({name: row[name] for name in columns}, ensure_ascii=False)
        file.write(line.encode() + b"\n")


def _write_parquet(file: IO[bytes], rows: _Counted, columns: tuple[str, ...]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    schema = pa.schema([(name, pa.type_for_alias(_KINDS.get(name, "string"))) for name in columns])
    with parquet.ParquetWriter(file, schema) as writer:
        batch: list[Row] = []
        for row in rows:
            batch.append(row)
            if len(batch) == _BATCH:
                _flush(writer, batch, schema)
        _flush(writer, batch, schema)


def _flush(writer: parquet.ParquetWriter, batch: list[Row], schema: Any) -> None:
    import pyarrow as pa

    writer.write_table(pa.Table.from_pylist(batch, schema=schema))
    batch.clear()

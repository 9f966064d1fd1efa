"""Validation losses from a CSV file: read whole, checked whole, written to their checkpoints whole."""

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from django.db import transaction

from generation.models import Checkpoint

REQUIRED: Final = ("checkpoint", "loss")
OPTIONAL: Final = ("step", "family")
_MOST_STEP: Final = 2**63 - 1
_LONGEST_FAMILY: Final = Checkpoint._meta.get_field("loss_family").max_length or 100


class LossFileError(Exception):
    """A file that is refused; the message names the file, the line and what to do."""


@dataclass(frozen=True)
class ImportedLosses:
    """How many checkpoints have a new loss, and how many had that very one."""

    changed: int
    unchanged: int


@dataclass(frozen=True)
class _Loss:
    line: int
    checkpoint: str
    loss: float
    step: int | None
    family: str | None


def import_losses(path: Path) -> ImportedLosses:
    """Columns `checkpoint,loss` and, where wanted, `step` and `family`. A cell left empty changes nothing.

    Losses compare only within one family (formulation): checkpoints without one need it in the file. Raises
    LossFileError, and then nothing has changed.
    """
    losses = _read(path)
    with transaction.atomic():
        found = {
            one.name: one
            for one in Checkpoint.objects.select_for_update().filter(name__in=[e.checkpoint for e in losses])
        }
        changed = 0
        for entry in losses:
            checkpoint = found.get(entry.checkpoint)
            if checkpoint is None:
                raise LossFileError(f"{path.name}, line {entry.line}: there is no checkpoint {entry.checkpoint!r}.")
            if not (entry.family or checkpoint.loss_family):
                raise LossFileError(
                    f"{path.name}, line {entry.line}: {entry.checkpoint!r} has no loss family yet, and losses of "
                    "different formulations do not compare: add a column family, such as rf or eps/linear."
                )
            before = (checkpoint.validation_loss, checkpoint.training_step, checkpoint.loss_family)
            checkpoint.validation_loss = entry.loss
            checkpoint.training_step = checkpoint.training_step if entry.step is None else entry.step
            checkpoint.loss_family = entry.family or checkpoint.loss_family
            if before != (checkpoint.validation_loss, checkpoint.training_step, checkpoint.loss_family):
                checkpoint.save(update_fields=["validation_loss", "training_step", "loss_family"])
                changed += 1
    return ImportedLosses(changed, len(losses) - changed)


def _read(path: Path) -> list[_Loss]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            names = [(name or "").strip() for name in reader.fieldnames or ()]
            _check_columns(path, names)
            reader.fieldnames = names
            losses = [_entry(path, reader.line_num, row) for row in reader]
    except OSError as error:
        raise LossFileError(f"{path.name} cannot be read: {error.strerror}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise LossFileError(f"{path.name} is not a CSV file in UTF-8: {error}.") from error
    if not losses:
        raise LossFileError(f"{path.name} has no losses below its head.")
    lines: dict[str, int] = {}
    for entry in losses:
        if entry.checkpoint in lines:
            first = lines[entry.checkpoint]
            raise LossFileError(f"{path.name}, line {entry.line}: {entry.checkpoint!r} stands on line {first} already.")
        lines[entry.checkpoint] = entry.line
    return losses


def _check_columns(path: Path, names: list[str]) -> None:
    known = f"{', '.join(REQUIRED)} and, where wanted, {' and '.join(OPTIONAL)}"
    if lacking := [name for name in REQUIRED if name not in names]:
        raise LossFileError(f"{path.name}, line 1: the column {lacking[0]!r} is missing; columns are {known}.")
    unknown = [name for name in names if name not in (*REQUIRED, *OPTIONAL)]
    if unknown or len(set(names)) < len(names):
        wrong = f"the column {unknown[0]!r} is unknown" if unknown else "a column stands twice"
        raise LossFileError(f"{path.name}, line 1: {wrong}; columns are {known}.")


def _entry(path: Path, line: int, row: dict[str, str]) -> _Loss:
    place = f"{path.name}, line {line}"
    if None in row or None in row.values():
        raise LossFileError(f"{place}: has more or fewer cells than the head.")
    cells = {name: cell.strip() for name, cell in row.items()}
    if not cells["checkpoint"]:
        raise LossFileError(f"{place}: names no checkpoint.")
    try:
        loss = float(cells["loss"])
    except ValueError:
        loss = math.nan
    if not (math.isfinite(loss) and loss >= 0):
        raise LossFileError(f"{place}: the loss must be a number from 0 on, not {cells['loss'][:50]!r}.")
    said = cells.get("step", "")
    if said and not (said.isascii() and said.isdigit() and int(said[:20]) <= _MOST_STEP):
        raise LossFileError(f"{place}: the step must be a whole number, not {said[:50]!r}.")
    family = cells.get("family", "")
    if len(family) > _LONGEST_FAMILY:
        raise LossFileError(f"{place}: the family is longer than {_LONGEST_FAMILY} characters.")
    return _Loss(line, cells["checkpoint"], loss, int(said) if said else None, family or None)

"""A prompt file on its way in: kept for its owner, looked at as often as they like, then saved or forgotten."""

import zlib
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from generation.models import PromptSet, PromptUpload
from generation.prompt_files import (
    COLUMNS,
    PromptFile,
    PromptFileError,
    check_columns,
    read_prompts,
    shown,
)
from generation.prompt_files.decoding import decode, too_large
from generation.prompt_files.tables import plain_lines
from generation.prompt_sets import PromptSetError, find_prompt_set, save_prompt_set

KEPT_FOR: Final = timedelta(days=7)
MOST_KEPT: Final = 5  # of one person: the oldest goes when another comes
LONGEST_LINE_SHOWN: Final = 160


@dataclass(frozen=True)
class Reading:
    """How a file is to be understood. columns: meaning -> column, empty for none; what is left out goes by names."""

    columns: dict[str, str] = field(default_factory=dict)
    derive_target_text: bool = True
    drops_duplicates: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "columns": self.columns,
            "derive_target_text": self.derive_target_text,
            "drops_duplicates": self.drops_duplicates,
        }


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where, what to do, and the line itself as the file has it."""

    line: int | None
    sentence: str
    row: str


@dataclass(frozen=True)
class Look:
    """What was understood, or why nothing was. columns: what there is to choose from, in either case."""

    file: PromptFile | None
    problems: tuple[Problem, ...]
    columns: dict[str, str]
    dropped: int = 0

    @property
    def chosen(self) -> dict[str, str]:
        """Meaning -> column as it was understood, for every meaning."""
        found = {meaning: "" for meaning in COLUMNS}
        return found | {meaning: name for name, meaning in self.columns.items() if meaning}


def keep_upload(*, owner: User, file_name: str, data: bytes) -> PromptUpload:
    """Keep the bytes for a week. Raises PromptFileError where no text can be read from them at all."""
    name = shown(file_name or "prompts", longest=200)
    try:
        decode(data)
    except PromptFileError as error:
        error.file_name = name
        raise
    with transaction.atomic():
        PromptUpload.objects.filter(created_at__lt=timezone.now() - KEPT_FOR).delete()
        kept = PromptUpload.objects.filter(owner=owner).order_by("-pk").values_list("pk", flat=True)
        PromptUpload.objects.filter(pk__in=list(kept[MOST_KEPT - 1 :])).delete()
        packed = zlib.compress(data, level=1)
        return PromptUpload.objects.create(owner=owner, file_name=name, data=packed, reading=Reading().to_json())


def look_at(upload: PromptUpload) -> Look:
    """Read the kept file as it was last said to be read."""
    return look_at_file(zlib.decompress(bytes(upload.data)), upload.file_name, reading_of(upload))


def look_at_file(data: bytes, file_name: str, reading: Reading) -> Look:
    """Read a file that nobody has kept. Raises PromptFileError where no text can be read from it at all."""
    try:
        file, dropped = read_as(data, file_name, reading)
    except PromptFileError as error:
        return Look(None, _problems(error, decode(data)), _columns_to_choose(error, reading))
    return Look(file, (), file.columns, dropped)


def read_as(data: bytes, file_name: str, reading: Reading) -> tuple[PromptFile, int]:
    """The prompts of a file, and how many rows were left out as duplicates. Raises PromptFileError."""
    check_columns(reading.columns)
    file = read_prompts(
        data, file_name=file_name, derive_target_text=reading.derive_target_text, columns=reading.columns
    )
    kept = file.without_duplicates() if reading.drops_duplicates else file
    return kept, len(file.rows) - len(kept.rows)


def read_otherwise(upload: PromptUpload, reading: Reading) -> None:
    """Keep how the file is to be understood. Raises PromptFileError where that makes no sense."""
    check_columns(reading.columns)
    upload.reading = reading.to_json()
    upload.save(update_fields=["reading"])


def reading_of(upload: PromptUpload) -> Reading:
    return Reading(**upload.reading)


def save_upload(upload: PromptUpload, *, name: str, licence: str, source: str) -> tuple[PromptSet, bool]:
    """The set that the file becomes, and whether it is new; the upload is gone then.

    Raises PromptFileError for a file that cannot be read like this, PromptSetError for a name that cannot be taken.
    """
    look = look_at(upload)
    if look.file is None:
        raise PromptFileError(look.problems[0].sentence.rstrip("."), remedy="nothing was saved")
    existing = find_prompt_set(name=name, rows=look.file.rows)
    if existing is not None and not PromptSet.objects.visible_to(upload.owner).filter(pk=existing.pk).exists():
        raise PromptSetError("Somebody else has a set of this name: choose another.")
    saved = save_prompt_set(name=name, rows=look.file.rows, licence=licence, source=source, owner=upload.owner)
    upload.delete()
    return saved, existing is None


def too_large_sentence() -> str:
    return str(too_large())


def _problems(error: PromptFileError, text: str) -> tuple[Problem, ...]:
    wanted = {each.line for each in error.all}
    lines = {number: line for number, line in plain_lines(text) if number in wanted}
    return tuple(
        Problem(each.line, _sentence(each), shown(lines.get(each.line or 0, ""), longest=LONGEST_LINE_SHOWN))
        for each in error.all
    )


def _sentence(error: PromptFileError) -> str:
    reason = f"{error.reason[:1].upper()}{error.reason[1:]}"
    return f"{reason}; {error.remedy}."


def _columns_to_choose(error: PromptFileError, reading: Reading) -> dict[str, str]:
    meanings = {name: meaning for meaning, name in reading.columns.items() if name}
    return {name: meanings.get(name, "") for name in error.columns}

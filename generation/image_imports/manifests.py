"""Manifests: tables or JSON lines that say of each file which prompt, contender and sample it is.

Names of columns are compared without case, blanks and punctuation; the first that is there wins.

    file         file, filename, file_name, path, image, image_path, image_file
    prompt       prompt, prompt_text, text, caption
    prompt_id    prompt_id, prompt_index, prompt_number, position, index, id
    contender    contender, model, recipe, system, method
    sample       sample, sample_index, sample_id, image_index
    seed         seed

Every other column is kept with the image.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from generation.image_imports.rows import (
    LARGEST_SEED,
    LONGEST_CONTENDER,
    LONGEST_METADATA,
    MOST_FILES,
    Claim,
    ImageImportError,
)
from generation.image_imports.sources import check_name
from generation.prompt_files import PromptFileError, shown
from generation.prompt_files.decoding import decode
from generation.prompt_files.json_files import json_records, jsonl_records
from generation.prompt_files.rows import Record
from generation.prompt_files.tables import Dialect, plain_lines, table_records, tabs_have_quotes

MANIFEST_ENDINGS: Final = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")
COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "file": ("file", "filename", "path", "image", "imagepath", "imagefile"),
    "prompt": ("prompt", "prompttext", "text", "caption"),
    "prompt_id": ("promptid", "promptindex", "promptnumber", "position", "index", "id"),
    "contender": ("contender", "model", "recipe", "system", "method"),
    "sample": ("sample", "sampleindex", "sampleid", "imageindex"),
    "seed": ("seed",),
}


def read_manifest(data: bytes, *, file_name: str) -> list[Claim]:
    """All rows, or ImageImportError with the line of the first that cannot be understood."""
    try:
        claims = [_claim(record) for record in _records(decode(data), file_name)]
    except PromptFileError as error:
        raise ImageImportError(error.reason, remedy=_remedy(error), file_name=file_name, line=error.line) from error
    except ImageImportError as error:
        error.file_name = file_name
        raise
    if not claims:
        raise ImageImportError(
            "the manifest has a header but no rows", remedy="give every image a row", file_name=file_name
        )
    return claims


def claims_of(rows: Iterable[Mapping[str, Any]]) -> list[Claim]:
    """The same from rows that are data already; `line` then counts the rows from 1."""
    return [_claim(Record(number, dict(row))) for number, row in enumerate(rows, start=1)]


def _records(text: str, file_name: str) -> Iterable[Record]:
    if text.lstrip().startswith("["):
        records: Iterable[Record] = json_records(text)
    elif text.lstrip().startswith("{"):
        records = jsonl_records(text)
    else:
        records = _table(text, file_name)
    for number, record in enumerate(records):
        if record.problem is not None:
            raise record.problem
        if number == MOST_FILES:
            raise ImageImportError(
                f"the manifest has more than {MOST_FILES:,} rows", remedy="import it in parts", line=record.line
            )
        yield record


def _table(text: str, file_name: str) -> Iterable[Record]:
    number, header = next((number, line) for number, line in plain_lines(text) if line.strip())
    for delimiter in "\t,;":
        names = [_plain(cell) for cell in header.split(delimiter)]
        if any(name in COLUMNS["file"] for name in names):
            quotes = delimiter != "\t" or tabs_have_quotes(text)
            return table_records(text, Dialect(delimiter, has_quotes=quotes))
    cells = ", ".join(shown(cell.strip()) for cell in header.replace("\t", ",").split(",")[:10])
    raise ImageImportError(
        f'there is no column "file", only {cells}',
        remedy='begin the manifest with a header such as "file,prompt,contender,sample"',
        file_name=file_name,
        line=number,
    )


def _claim(record: Record) -> Claim:
    values = {"file": record.values} if isinstance(record.values, str) else record.values
    names = _understood(values)
    read = _Reader(values, names, record.line)
    file = read.text("file")
    if not file:
        raise read.refusal("file", "the row names no file", "write its name, relative to the manifest")
    try:
        check_name(file)
    except ImageImportError as error:
        raise read.refusal("file", error.reason, error.remedy) from error
    prompt, prompt_id = read.text("prompt"), read.text("prompt_id")
    if not prompt and not prompt_id:
        raise read.refusal("prompt", "the row names no prompt", 'fill in "prompt" (its text) or "prompt_id"')
    contender = read.text("contender")
    if len(contender) > LONGEST_CONTENDER or not contender.isprintable():
        raise read.refusal("contender", "the contender's name is too long or holds control characters", "shorten it")
    return Claim(
        file=file,
        prompt=prompt,
        prompt_id=prompt_id,
        sample=read.number("sample"),
        contender=contender,
        seed=read.number("seed"),
        metadata=read.rest(),
        line=record.line,
    )


class _Reader:
    """The cells of one row by meaning, refused with the line where they make no sense."""

    def __init__(self, values: Mapping[str, Any], names: Mapping[str, str], line: int) -> None:
        self._values, self._names, self._line = values, names, line

    def text(self, meaning: str) -> str:
        value = self._values.get(self._names.get(meaning, ""), "")
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self.refusal(meaning, f'"{self._shown(meaning)}" is not a text', "write it as a string")
        return value.replace("\r\n", "\n").replace("\r", "\n").strip()

    def number(self, meaning: str) -> int | None:
        text = self.text(meaning)
        if not text:
            return None
        # The length first: converting a million digits takes minutes.
        if not (text.isascii() and text.isdigit() and len(text) < 20) or int(text) > LARGEST_SEED:
            raise self.refusal(
                meaning, f'"{self._shown(meaning)}" is {shown(text)!r}', "write a whole number, 0 or above"
            )
        return int(text)

    def rest(self) -> dict[str, Any]:
        used = set(self._names.values())
        rest = {name: value for name, value in self._values.items() if name not in used and value not in ("", None)}
        if len(json.dumps(rest, ensure_ascii=False)) > LONGEST_METADATA:
            raise self.refusal(
                "metadata", f"the further columns hold more than {LONGEST_METADATA:,} characters", "shorten them"
            )
        return rest

    def refusal(self, meaning: str, reason: str, remedy: str) -> ImageImportError:
        return ImageImportError(reason, remedy=remedy, line=self._line, field=meaning)

    def _shown(self, meaning: str) -> str:
        return shown(self._names.get(meaning, meaning))


def _understood(values: Mapping[str, Any]) -> dict[str, str]:
    """Meaning -> the column of this row that carries it."""
    plain = {_plain(name): name for name in reversed(list(values))}
    return {
        meaning: next(plain[alias] for alias in aliases if alias in plain)
        for meaning, aliases in COLUMNS.items()
        if any(alias in plain for alias in aliases)
    }


def _plain(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())


def _remedy(error: PromptFileError) -> str:
    """The prompt readers speak of prompts."""
    if "empty" in error.reason:
        return 'begin it with a header such as "file,prompt,contender,sample"'
    return error.remedy.replace("the prompts", "the manifest").replace("several prompt sets", "several manifests")

"""What kind of file this is: by its content first, by its name where the content leaves it open."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

from generation.prompt_files.columns import BY_NAME, Chosen, has_prompt, is_surely_a_header
from generation.prompt_files.json_files import json_records, jsonl_records
from generation.prompt_files.rows import PromptFileError, PromptFormat, Record, shown
from generation.prompt_files.strict_json import parse_strictly
from generation.prompt_files.tables import Dialect, lines_of, plain_lines, table_records, tabs_have_quotes

_TABLE_NAMES: Final = {".csv": PromptFormat.CSV, ".tsv": PromptFormat.TSV, ".tab": PromptFormat.TSV}
_JSON_NAMES: Final = {".json": PromptFormat.JSON, ".jsonl": PromptFormat.JSONL, ".ndjson": PromptFormat.JSONL}
# A prompt may begin with a bracket ("[a cat]", "{red|blue} car"); a key, a string or another bracket must follow.
_LOOKS_LIKE_JSON: Final = re.compile(r'\s*(?:\{\s*["}]|\[\s*["\[{\]])')


@dataclass(frozen=True)
class Layout:
    """The format of a file and, for tables, how its cells are told apart."""

    format: PromptFormat
    dialect: Dialect | None = None


def layout_of(text: str, *, file_name: str, chosen: Chosen = BY_NAME) -> Layout:
    """Recognise the file. Raises PromptFileError for a table without a prompt column and for a .json that is none."""
    ending = PurePath(file_name).suffix.casefold()
    if _LOOKS_LIKE_JSON.match(text) or (ending in _JSON_NAMES and text.lstrip().startswith(("[", "{"))):
        return Layout(_json_format(text, ending))
    first = next((line for _, line in plain_lines(text) if line.strip()), "")
    if ending in (".jsonl", ".ndjson") and first.lstrip().startswith('"'):
        return Layout(PromptFormat.JSONL)
    if dialect := _table_dialect(text, first, is_named_table=ending in _TABLE_NAMES, chosen=chosen):
        if dialect.delimiter is None:
            return Layout(_TABLE_NAMES.get(ending, PromptFormat.PLAIN_TEXT), dialect)
        return Layout(PromptFormat.TSV if dialect.delimiter == "\t" else PromptFormat.CSV, dialect)
    if ending in _JSON_NAMES:
        raise PromptFileError(
            "this is not JSON, which begins with [ or {",
            line=1,
            remedy="correct it, or name it .txt if it is one prompt a line",
        )
    return Layout(PromptFormat.PLAIN_TEXT)


def records_of(text: str, layout: Layout, chosen: Chosen = BY_NAME) -> Iterator[Record]:
    """The prompts of the file as it spells them."""
    if layout.dialect is not None:
        return table_records(text, layout.dialect)
    if layout.format is PromptFormat.JSON:
        return json_records(text, chosen)
    if layout.format is PromptFormat.JSONL:
        return jsonl_records(text)
    return (Record(number, line) for number, line in plain_lines(text) if line.strip())


def _json_format(text: str, ending: str) -> PromptFormat:
    if text.lstrip().startswith("["):
        return PromptFormat.JSON
    lines = (line for _, line in plain_lines(text) if line.strip())
    first, second = next(lines), next(lines, "")
    if ending in (".jsonl", ".ndjson") or second.lstrip().startswith("{"):
        return PromptFormat.JSONL
    try:
        parse_strictly(first)
    except PromptFileError:
        return PromptFormat.JSON
    return PromptFormat.JSONL if second else PromptFormat.JSON


def _table_dialect(text: str, first: str, *, is_named_table: bool, chosen: Chosen) -> Dialect | None:
    """The first separator that shows a prompt column in the header; None when this is no table."""
    headers = [(delimiter, _header_cells(text, first, delimiter)) for delimiter in "\t,;" if delimiter in first]
    for delimiter, cells in headers:
        names = [cell.strip() for cell in cells]
        if has_prompt(names, chosen) if is_named_table else is_surely_a_header(cells, chosen):
            if not has_prompt(names, chosen):
                raise _no_prompt_column(text, cells)
            return Dialect(delimiter, has_quotes=delimiter != "\t" or tabs_have_quotes(text))
    single = _header_cells(text, first, "\t") if not headers else []
    if single and is_surely_a_header(single, chosen):
        # Commas in the prompts of a one-column file separate nothing unless somebody went to the trouble of quoting.
        is_quoted = any(line.lstrip().startswith('"') for _, line in plain_lines(text))
        return Dialect(",", has_quotes=True) if is_quoted else Dialect(None, has_quotes=False)
    if is_named_table:
        raise _no_prompt_column(text, headers[0][1] if headers else [first])
    return None


def _header_cells(text: str, first: str, delimiter: str) -> list[str]:
    has_quotes = '"' in first
    try:
        line = next(line for line in lines_of(text, Dialect(delimiter, has_quotes)) if not line.is_blank)
    except PromptFileError:
        return first.split(delimiter)
    return line.cells


def _no_prompt_column(text: str, cells: list[str]) -> PromptFileError:
    number = next((number for number, line in plain_lines(text) if line.strip()), 1)
    names = ", ".join(shown(cell.strip()) for cell in cells[:10])
    return PromptFileError(
        f"there is no prompt column, only {names}",
        line=number,
        remedy='name the column with the prompts "prompt", or save one prompt a line as .txt',
        columns=tuple(cell.strip() or f"column {place}" for place, cell in enumerate(cells, start=1)),
    )

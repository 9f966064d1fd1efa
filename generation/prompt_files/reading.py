"""Prompt files from bytes, from a path, or from a folder of .txt files."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from generation.prompt_files.columns import BY_NAME, COLUMNS, Chosen, rows_of
from generation.prompt_files.decoding import decode, too_large
from generation.prompt_files.layout import Layout, layout_of, records_of
from generation.prompt_files.quoted_text import text_to_render
from generation.prompt_files.rows import (
    LONGEST_TARGET_TEXT,
    MOST_BYTES,
    PromptFile,
    PromptFileError,
    PromptFormat,
    PromptRow,
    Record,
    shown,
)


def read_prompts(
    data: bytes, *, file_name: str, derive_target_text: bool = True, columns: Chosen = BY_NAME
) -> PromptFile:
    """Understand a whole prompt file, or raise PromptFileError and understand nothing.

    `file_name` appears in errors and decides between formats only where the content leaves it open. When no column
    gives the text to render and `derive_target_text` is set, it is taken from the quotation marks of each prompt.
    `columns` says which column means what (see `check_columns`); what it leaves out goes by the columns' names.
    """
    try:
        text = decode(data)
        layout = layout_of(text, file_name=file_name, chosen=columns)
        read = _read_rows(records_of(text, layout, columns), columns, derive_target_text=derive_target_text)
    except PromptFileError as error:
        for each in error.all:
            each.file_name = file_name
        raise
    remarks = _remarks(read.rows, layout, text)
    return PromptFile(file_name, layout.format, read.rows, remarks, read.is_derived, read.columns)


def read_prompt_path(path: Path, *, derive_target_text: bool = True, columns: Chosen = BY_NAME) -> PromptFile:
    """`read_prompts` of a file, or of a folder whose .txt files hold one prompt each. Raises OSError like open()."""
    name = path.resolve().name if path.is_dir() else path.name
    try:
        if not path.is_dir():
            data = _read_limited(path)
            return read_prompts(data, file_name=name, derive_target_text=derive_target_text, columns=columns)
        read = _read_rows(_folder_records(path), columns, derive_target_text=derive_target_text)
    except PromptFileError as error:
        for each in error.all:
            each.file_name = each.file_name or name
        raise
    return PromptFile(name, PromptFormat.FOLDER, read.rows, _remarks(read.rows), read.is_derived, read.columns)


def check_columns(columns: Chosen) -> None:
    """Whether a choice of columns makes sense: known meanings, no column for two of them, always one for the prompt."""
    if unknown := sorted(set(columns) - set(COLUMNS)):
        raise PromptFileError(
            f"{shown(unknown[0])!r} is nothing that a column can mean", remedy=f"choose from {', '.join(COLUMNS)}"
        )
    if columns.get("text") == "":
        raise PromptFileError("no column is left for the prompt", remedy="choose the one that holds it")
    used = [name for name in columns.values() if name]
    if twice := next((name for name in used if used.count(name) > 1), None):
        raise PromptFileError(f'the column "{shown(twice)}" cannot mean two things', remedy="choose it once")


class _Read(NamedTuple):
    rows: tuple[PromptRow, ...]
    is_derived: bool
    columns: dict[str, str]


def _read_rows(records: Iterable[Record], chosen: Chosen, *, derive_target_text: bool) -> _Read:
    """The rows, and whether their target texts were derived: never beside a column that names them."""
    rows: list[PromptRow] = []
    columns: dict[str, str] = {}
    problems: list[PromptFileError] = []
    try:
        for row, names, own_columns in rows_of(records, chosen, problems=problems):
            rows.append(row)
            for name in own_columns:
                columns.setdefault(name, "")
            for meaning, name in names.items():
                if name in columns:
                    columns[name] = meaning
    except PromptFileError as error:
        if not problems:
            raise
        problems.append(error)
    if problems:
        problems[0].others = tuple(problems[1:])
        raise problems[0]
    if not rows:
        raise PromptFileError("there are no prompts in this file", remedy="add at least one")
    missing = [name for name in chosen.values() if name and name not in columns]
    if missing:
        raise PromptFileError(
            f'there is no column "{shown(missing[0])}"', remedy="choose one of the file's columns", columns=[*columns]
        )
    if "target_text" in columns.values() or not derive_target_text:
        return _Read(tuple(rows), False, columns)
    return _Read(tuple(replace(row, target_text=_derived(row.text)) for row in rows), True, columns)


def _derived(prompt: str) -> str | None:
    text = text_to_render(prompt)
    return text if text is None or len(text) <= LONGEST_TARGET_TEXT else None


def _remarks(rows: tuple[PromptRow, ...], layout: Layout | None = None, text: str = "") -> tuple[str, ...]:
    remarks = []
    if several := sum("\n" in row.text for row in rows):
        remarks.append(f"Prompts of several lines, each kept as one prompt: {several:,}.")
    if layout and layout.dialect and not layout.dialect.has_quotes and re.search(r'(?:^|[\t\r\n])"', text):
        remarks.append("Quotation marks around or inside a cell are kept as part of the text.")
    return tuple(remarks)


def _read_limited(path: Path, *, already: int = 0) -> bytes:
    """The file's bytes, at most one over the limit: a pipe does not tell its size."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size > MOST_BYTES - already:
            raise too_large()
        data = file.read(MOST_BYTES - already + 1)
    if len(data) > MOST_BYTES - already:
        raise too_large()
    return data


def _folder_records(folder: Path) -> Iterator[Record]:
    paths = [path for path in folder.iterdir() if path.suffix.casefold() == ".txt" and not path.name.startswith(".")]
    if not paths:
        raise PromptFileError(
            "there is no .txt file in this folder", remedy="name a file, or a folder with one .txt a prompt"
        )
    total = 0
    for path in sorted(paths, key=_counting_order):
        try:
            data = _read_limited(path, already=total)
            text = decode(data)
        except PromptFileError as error:
            error.file_name = path.name
            raise
        total += len(data)
        yield Record(1, {"prompt": text, "file": path.name}, file_name=path.name)


def _counting_order(path: Path) -> tuple[list[tuple[int, str]], str]:
    """2.txt before 10.txt, as people count."""
    parts = re.findall(r"[0-9]+|[^0-9]+", path.name.casefold())
    return [(int(part), "") if part[0] in "0123456789" else (-1, part) for part in parts], path.name

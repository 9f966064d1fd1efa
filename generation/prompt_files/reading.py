"""Prompt files from bytes, from a path, or from a folder of .txt files."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from generation.prompt_files.columns import rows_of
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
)


def read_prompts(data: bytes, *, file_name: str, derive_target_text: bool = True) -> PromptFile:
    """Understand a whole prompt file, or raise PromptFileError and understand nothing.

    `file_name` appears in errors and decides between formats only where the content leaves it open. When no column
    gives the text to render and `derive_target_text` is set, it is taken from the quotation marks of each prompt.
    """
    try:
        text = decode(data)
        layout = layout_of(text, file_name=file_name)
        rows, is_derived = _read_rows(records_of(text, layout), derive_target_text=derive_target_text)
    except PromptFileError as error:
        error.file_name = file_name
        raise
    return PromptFile(file_name, layout.format, rows, _remarks(rows, layout, text), is_derived)


def read_prompt_path(path: Path, *, derive_target_text: bool = True) -> PromptFile:
    """`read_prompts` of a file, or of a folder whose .txt files hold one prompt each. Raises OSError like open()."""
    name = path.resolve().name if path.is_dir() else path.name
    try:
        if not path.is_dir():
            return read_prompts(_read_limited(path), file_name=name, derive_target_text=derive_target_text)
        rows, is_derived = _read_rows(_folder_records(path), derive_target_text=derive_target_text)
    except PromptFileError as error:
        error.file_name = error.file_name or name
        raise
    return PromptFile(name, PromptFormat.FOLDER, rows, _remarks(rows), is_derived)


def _read_rows(records: Iterable[Record], *, derive_target_text: bool) -> tuple[tuple[PromptRow, ...], bool]:
    """The rows, and whether their target texts were derived: never beside a column that names them."""
    rows, has_column = [], False
    for row, names_target_text in rows_of(records):
        rows.append(row)
        has_column = has_column or names_target_text
    if not rows:
        raise PromptFileError("there are no prompts in this file", remedy="add at least one")
    if has_column or not derive_target_text:
        return tuple(rows), False
    return tuple(replace(row, target_text=_derived(row.text)) for row in rows), True


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

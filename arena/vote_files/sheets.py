"""A CSV, JSON-lines or Parquet file as columns of numbered texts, with the line of every row for complaints."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
from numpy.typing import NDArray

from arena.vote_files.cells import unescaped

Codes = NDArray[np.int32]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_PARQUET: Final = b"PAR1"
MOST_UNPACKED: Final = 2**29
"""Bytes that the wanted columns of a Parquet file may take once they are unpacked."""
# How ZIP files, spreadsheets among them, and files of gzip begin.
_COMPRESSED: Final = (b"PK\x03\x04", b"\x1f\x8b")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_ENCODED: Final = pa.dictionary(pa.int32(), pa.string())
_DELIMITERS: Final = (",", "\t", ";")
# Python would take 1_000 and digits of other scripts for numbers too; other programs would not.
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


class VoteFileError(ValueError):
    """A votes file that cannot be used; the message names file, line and reason."""


@dataclass(frozen=True, eq=False)
class Column:
    """Texts of n rows without blanks around them; "" where a row has none.

    codes:  int32 (n,), places in values
    values: the different texts, in the order of their first appearance
    """

    codes: Codes
    values: tuple[str, ...]

    @property
    def blank(self) -> Flags | None:
        """(n,) rows without a text; None where all have one."""
        return self.codes == self.values.index("") if "" in self.values else None


@dataclass(frozen=True, eq=False)
class Sheet:
    """Columns of a file.

    found:   the names of all columns as the file has them
    line_of: the place of a row for people, such as "line 7"
    head:    the place of the columns' names, such as "line 1"; None in a file without lines
    """

    file_name: str
    rows: int
    columns: dict[str, Column]
    found: tuple[str, ...]
    line_of: Callable[[int], str]
    head: str | None

    def fault(self, reason: str, *, row: int | None = None) -> VoteFileError:
        return VoteFileError(f"{self.file_name}: {reason}" if row is None else self._at(row, reason))

    def fault_of_columns(self, reason: str) -> VoteFileError:
        return VoteFileError(f"{self.file_name}, {self.head}: {reason}") if self.head else self.fault(reason)

    def refuse(self, faults: dict[str, Flags | None]) -> None:
        """Raise for the first row with a fault; faults are (n,) flags by reason, {column} standing for its text."""
        first = [(int(flags.argmax()), reason) for reason, flags in faults.items() if flags is not None and flags.any()]
        if first:
            row, reason = min(first)
            texts = {name: shown(column.values[column.codes[row]]) for name, column in self.columns.items()}
            raise self.fault(reason.format(**texts), row=row)

    def numbers(self, name: str) -> Floats:
        """(n,) a column as finite numbers."""
        column = self.columns[name]
        values = np.array([float(text) if _NUMBER.fullmatch(text) else np.nan for text in column.values])
        numbers: Floats = values[column.codes]
        self.refuse({f"{name} must be a number, not {{{name}}}.": ~np.isfinite(numbers)})
        return numbers

    def _at(self, row: int, reason: str) -> VoteFileError:
        return VoteFileError(f"{self.file_name}, {self.line_of(row)}: {reason}")


def read_sheet(
    path: Path, *, wanted: Collection[str], flags: Collection[str] = (), most_rows: int | None = None
) -> Sheet:
    """The wanted columns of a file, as far as it has them. The format is told from the content.

    flags:     columns that may also hold JSON's true and false, which are read as these words
    most_rows: a Parquet file that says it has more is refused before it is unpacked

    Raises VoteFileError.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise VoteFileError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}.") from error
    name = path.name
    if data.startswith(_PARQUET):
        sheet = _from_parquet(data, name, wanted, most_rows)
    elif data.startswith(_COMPRESSED):
        raise VoteFileError(f"{name}, line 1: is a spreadsheet or compressed; save it as CSV and unpacked.")
    else:
        _refuse_nul(data, name)
        start = data[:4096].removeprefix(_BYTE_ORDER_MARK).lstrip() or data.removeprefix(_BYTE_ORDER_MARK).lstrip()[:9]
        if not start:
            raise VoteFileError(f"{name}, line 1: the file is empty.")
        if start.startswith(b"["):
            raise VoteFileError(f"{name}, line 1: JSON must come as one object a line, not as a list.")
        is_json = start.startswith(b"{")
        sheet = _from_lines(data, name, wanted, flags) if is_json else _from_csv(data, path, wanted)
    if not sheet.rows:
        raise sheet.fault_of_columns("the file is empty: it has a header but no rows.")
    return sheet


def shown(text: str) -> str:
    """A text as a complaint quotes it: short, and with nothing a terminal would act on."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _named(found: Sequence[str], wanted: Collection[str]) -> dict[str, str]:
    """Columns as found by the names wanted: without regard to blanks and capitals where none is written exactly so.

    Raises ValueError with the name that two columns have.
    """
    named: dict[str, str] = {}
    for plain in (str.strip, lambda text: text.strip().lower()):
        exact = dict(named)
        for raw in found:
            name = plain(raw)
            if name in wanted and name not in exact:
                if name in named:
                    raise ValueError(name)
                named[name] = raw
    return named


def _refuse_nul(data: bytes, name: str) -> None:
    place = data.find(b"\0")
    if place >= 0:
        line = data.count(b"\n", 0, place) + 1
        raise VoteFileError(f"{name}, line {line}: holds a NUL byte; save the file as UTF-8 text.")


def _refuse_encoding(data: bytes, name: str) -> None:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise VoteFileError(f"{name}, line {line}: is not UTF-8 text; save the file as UTF-8.") from error


def _from_csv(data: bytes, path: Path, wanted: Collection[str]) -> Sheet:
    name = path.name
    line, delimiter, header = _header(data, path, wanted)
    head, found = f"line {line}", tuple(text.strip() for text in header)
    try:
        named = _named(header, wanted)
    except ValueError as error:
        raise VoteFileError(f"{name}, {head}: the column {error} is there twice.") from error
    if not named:
        return Sheet(name, 1, {}, found, lambda row: head, head)
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(data),
            # Fewer and larger blocks than usual: each has a dictionary of its own, and these are joined afterwards.
            read_options=arrow_csv.ReadOptions(block_size=1 << 22, skip_rows=line - 1),
            parse_options=arrow_csv.ParseOptions(
                delimiter=delimiter,
                newlines_in_values=True,
                invalid_row_handler=lambda row: "error" if row.text.strip() else "skip",
            ),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=list(named.values()), column_types=dict.fromkeys(named.values(), _ENCODED)
            ),
        )
    except pa.ArrowInvalid as error:
        _refuse_encoding(data, name)
        raise VoteFileError(_csv_fault(data, name, delimiter) or f"{name}: {error}.") from error
    _refuse_swallowed_lines(data, name, delimiter, rows=table.num_rows)
    columns = {wanted_name: _column(table.column(raw), plain=unescaped) for wanted_name, raw in named.items()}
    return Sheet(name, table.num_rows, columns, found, lambda row: f"line {_csv_line(data, row, delimiter)}", head)


def _refuse_swallowed_lines(data: bytes, name: str, delimiter: str, *, rows: int) -> None:
    """Arrow takes a quotation mark in the last column that is never closed, and with it all lines below, for a cell."""
    has_longer_rows = rows + 1 < max(data.count(b"\n"), data.count(b"\r"))
    if b'"' in data and (has_longer_rows or data.count(b'"') % 2) and (fault := _csv_fault(data, name, delimiter)):
        raise VoteFileError(fault)


def _records(data: bytes, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(first line, cells) of each record, the header included; for complaints, where time does not matter."""
    # Arrow has read fields of any length; without this the csv module would stop at one instead of finding its line.
    csv.field_size_limit(max(csv.field_size_limit(), len(data)))
    text = io.TextIOWrapper(io.BytesIO(data.removeprefix(_BYTE_ORDER_MARK)), encoding="utf-8", newline="")
    reader, line = csv.reader(text, delimiter=delimiter, strict=True), 1
    for cells in reader:
        # A line of blanks alone is no record, as one without anything is none.
        if len(cells) > 1 or "".join(cells).strip():
            yield line, cells
        line = reader.line_num + 1


def _header(data: bytes, path: Path, wanted: Collection[str]) -> tuple[int, str, list[str]]:
    """Line, delimiter and cells of the header; the delimiter is the one that gives the most columns wanted."""
    usual = "\t" if path.suffix.lower() == ".tsv" else ","
    best: tuple[int, int, str, list[str]] | None = None
    fault: csv.Error | None = None
    for delimiter in sorted(_DELIMITERS, key=lambda one: one != usual):
        try:
            line, cells = next(_records(data, delimiter))
        except UnicodeDecodeError:
            _refuse_encoding(data, path.name)
            raise
        except csv.Error as error:
            # Quotation marks that are well placed between commas are not so between other marks.
            fault = fault or error
            continue
        known = len({text.strip().lower() for text in cells} & set(wanted))
        if best is None or known > best[0]:
            best = known, line, delimiter, cells
    if best is None:
        raise VoteFileError(f"{path.name}, line 1: {fault}.") from fault
    return best[1:]


def _csv_line(data: bytes, row: int, delimiter: str) -> int:
    return next(line for number, (line, _) in enumerate(_records(data, delimiter)) if number == row + 1)


def _csv_fault(data: bytes, name: str, delimiter: str) -> str | None:
    """What is wrong with the first broken record; None if it is well-formed after all."""
    line, width, records = 1, 0, 0
    try:
        for line, cells in _records(data, delimiter):
            width, records = width or len(cells), records + 1
            if len(cells) != width:
                return f"{name}, line {line}: has {len(cells)} values where the header has {width}."
    except csv.Error as error:
        return f"{name}, after line {line}: {error}."
    return f"{name}, line {line}: the file is empty: it has a header but no rows." if records < 2 else None


def _from_lines(data: bytes, name: str, wanted: Collection[str], flags: Collection[str]) -> Sheet:
    texts: dict[str, list[str]] = {}
    lines: list[int] = []
    found: dict[str, None] = {}
    for number, line in enumerate(data.removeprefix(_BYTE_ORDER_MARK).splitlines(), start=1):
        if not line.strip():
            continue
        record = _record(line, name, number)
        found.update(dict.fromkeys(record))
        try:
            named = _named(tuple(record), wanted)
        except ValueError as error:
            raise VoteFileError(f"{name}, line {number}: {error} is there twice.") from error
        for key, raw in named.items():
            # Rows before the first with this key had nothing there.
            own = texts.setdefault(key, [])
            own.extend([""] * (len(lines) - len(own)))
            value = record[raw]
            value = str(value).lower() if isinstance(value, bool) and key in flags else value
            own.append(_text(value, f"{name}, line {number}: {key}"))
        lines.append(number)
    columns = {key: _numbered(own + [""] * (len(lines) - len(own))) for key, own in texts.items()}
    return Sheet(name, len(lines), columns, tuple(found), lambda row: f"line {lines[row]}", f"line {lines[0]}")


def _record(line: bytes, name: str, number: int) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        reason = "is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else "is not one JSON object"
        raise VoteFileError(f"{name}, line {number}: {reason}.") from error
    if not isinstance(record, dict):
        raise VoteFileError(f"{name}, line {number}: is not one JSON object.")
    return record


def _text(value: object, place: str) -> str:
    # Not a number is how many programs write that there is none.
    if value is None or value != value:  # noqa: PLR0124 - only a NaN differs from itself
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise VoteFileError(f"{place} must be a text or a number.")
    # JSON knows one kind of number: 2 and 2.0 are the same.
    text = f"{value:.0f}" if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else str(value)
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text) or "\0" in text:
        raise VoteFileError(f"{place} holds a character that is no text.")
    return text


def _numbered(texts: list[str]) -> Column:
    places: dict[str, int] = {}
    codes = np.fromiter((places.setdefault(text.strip(), len(places)) for text in texts), np.int32, len(texts))
    return Column(codes, tuple(places))


def _from_parquet(data: bytes, name: str, wanted: Collection[str], most_rows: int | None) -> Sheet:
    import pyarrow.parquet as parquet

    try:
        schema = parquet.read_schema(pa.BufferReader(data))
        found = tuple(schema.names)
        named = _named(found, wanted)
        # Texts stay numbered, as they are in the file: a long one that is there a million times is kept once.
        texts = [raw for raw in named.values() if pa.types.is_string(schema.field(raw).type)]
        file = parquet.ParquetFile(pa.BufferReader(data), read_dictionary=texts)
    except (pa.ArrowException, OSError) as error:
        raise VoteFileError(f"{name}: is not a readable Parquet file.") from error
    except ValueError as error:
        raise VoteFileError(f"{name}: the column {error} is there twice.") from error
    _refuse_large(file.metadata, name, set(named.values()), most_rows)
    try:
        table = file.read(columns=list(named.values()))
    except (pa.ArrowException, OSError) as error:
        raise VoteFileError(f"{name}: is not a readable Parquet file.") from error
    columns = {}
    for column, raw in named.items():
        values = table.column(raw)
        if pa.types.is_floating(values.type):
            values = pc.if_else(pc.is_nan(values), None, values)
        try:
            columns[column] = _column(_encoded(values))
        except pa.ArrowException as error:
            raise VoteFileError(f"{name}: {column} must hold texts or numbers, not {values.type}.") from error
    rows = table.num_rows if named else file.metadata.num_rows
    return Sheet(name, rows, columns, found, lambda row: f"row {row + 1}", None)


def _refuse_large(about: Any, name: str, wanted: Collection[str], most_rows: int | None) -> None:
    """By what the file says of itself: a few hundred kilobytes can be unpacked to a million times as much."""
    groups = [about.row_group(number) for number in range(about.num_row_groups)]
    rows = max(about.num_rows, sum(group.num_rows for group in groups))
    if most_rows is not None and rows > most_rows:
        raise VoteFileError(f"{name}: has {rows:,} rows; at most {most_rows:,} are read at once: split the file.")
    parts = (group.column(number) for group in groups for number in range(group.num_columns))
    size = sum(part.total_uncompressed_size for part in parts if part.path_in_schema.split(".")[0] in wanted)
    if size > MOST_UNPACKED:
        most = f"{MOST_UNPACKED // 2**20:,} MB"
        raise VoteFileError(f"{name}: its columns unpack to {size // 2**20:,} MB; at most {most} are read: split it.")


def _encoded(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return values if values.type == _ENCODED else pc.cast(values, pa.string()).dictionary_encode()


def _column(encoded: pa.ChunkedArray, *, plain: Callable[[str], str] = str) -> Column:
    whole = encoded.unify_dictionaries().combine_chunks()
    # What was one chunk comes back as an array, and no chunk at all as an empty chunked array.
    if isinstance(whole, pa.ChunkedArray):
        whole = whole.chunk(0) if whole.num_chunks else pa.array([], pa.string()).dictionary_encode()
    texts: list[str] = pc.utf8_trim_whitespace(whole.dictionary).to_pylist()
    places: dict[str, int] = {}
    renumbered = np.fromiter((places.setdefault(plain(text), len(places)) for text in texts), np.int32, len(texts))
    codes = whole.indices
    if codes.null_count:
        renumbered = np.append(renumbered, np.int32(places.setdefault("", len(places))))
        codes = codes.fill_null(len(texts))
    # Arrow's own to_numpy would load pandas, if there is one: most of a second.
    places_at = np.frombuffer(codes.buffers()[1] or b"", dtype=np.int32)[codes.offset : codes.offset + len(codes)]
    return Column(places_at if len(places) == len(renumbered) else renumbered[places_at], tuple(places))

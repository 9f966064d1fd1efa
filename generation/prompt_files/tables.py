"""CSV and TSV: cells with the line they begin in, and whether quotation marks quote or are part of the prompt."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from generation.prompt_files.rows import MOST_PROMPTS, PromptFileError, Record, shown

_QUOTED_CELL: Final = re.compile(r'"((?:[^"]++|"")*+)"')
_LINE_END: Final = re.compile(r"\r\n|\r|\n")
DOUBLE_THEM: Final = 'close it, and write "" for a quotation mark inside a quoted cell'


@dataclass(frozen=True)
class Line:
    """One row of cells, the line it begins in, and which of the cells were quoted."""

    number: int
    cells: list[str]
    quoted: frozenset[int] = frozenset()

    @property
    def is_blank(self) -> bool:
        return not any(cell.strip() for cell in self.cells)


@dataclass(frozen=True)
class Dialect:
    """How cells are told apart. No delimiter: every line is one cell, verbatim."""

    delimiter: str | None
    has_quotes: bool


def plain_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with their numbers. Not str.splitlines, which also splits inside a prompt at U+2028 or U+0085."""
    for number, line in enumerate(io.StringIO(text, newline=None), start=1):
        yield number, line.removesuffix("\n")


def lines_of(text: str, dialect: Dialect) -> Iterator[Line]:
    """All rows, blank ones included. Raises PromptFileError where a quote is not closed, with the line it opens in."""
    delimiter = dialect.delimiter
    if delimiter is not None and dialect.has_quotes:
        yield from _quoted_lines(text, delimiter)
        return
    for number, line in plain_lines(text):
        yield Line(number, [line] if delimiter is None else line.split(delimiter))


def _quoted_lines(text: str, delimiter: str) -> Iterator[Line]:
    bare_cell = re.compile(rf"[^{re.escape(delimiter)}\r\n]*+")
    position, number = 0, 1
    while position < len(text):
        first_line = number
        cells: list[str] = []
        quoted: set[int] = set()
        while True:
            if text.startswith('"', position):
                cell, position = _quoted_cell(text, position, delimiter, line=number)
                number += len(_LINE_END.findall(cell))
                quoted.add(len(cells))
                cells.append(cell.replace('""', '"'))
            else:
                found = bare_cell.match(text, position)
                cells.append(found[0] if found else "")
                position += len(cells[-1])
            if not text.startswith(delimiter, position):
                break
            position += len(delimiter)
        yield Line(first_line, cells, frozenset(quoted))
        end = _LINE_END.match(text, position)
        position, number = (end.end() if end else position), number + 1


def _quoted_cell(text: str, position: int, delimiter: str, *, line: int) -> tuple[str, int]:
    found = _QUOTED_CELL.match(text, position)
    if found is None:
        raise PromptFileError("the quotation mark that opens here is never closed", line=line, remedy=DOUBLE_THEM)
    if found.end() == len(text) or text[found.end()] in (delimiter, "\r", "\n"):
        return found[1], found.end()
    closing_line = line + len(_LINE_END.findall(found[1]))
    if closing_line > line:
        reason = f"the quotation mark that opens here is not closed before line {closing_line}"
    else:
        reason = "more text follows the closing quotation mark of a cell"
    raise PromptFileError(reason, line=line, remedy=DOUBLE_THEM)


def tabs_have_quotes(text: str) -> bool:
    """Whether a tab-separated file uses quoting.

    Most do not, and a prompt may begin with a quotation mark or be nothing but a quoted word. Marks count as quoting
    only when all of them balance AND something is written that needs them: a quoted header, a doubled mark inside a
    cell, or a tab or line end inside a cell where reading without quotes gives rows of different lengths.
    """
    if not re.search(r'(?:^|[\t\r\n])"', text):
        return False
    if _header_is_quoted(text):
        return True
    has_doubled = has_separator = False
    try:
        # A file of more rows is refused anyway.
        for row in islice(_quoted_lines(text, "\t"), MOST_PROMPTS + 2):
            for index in row.quoted:
                has_doubled = has_doubled or '"' in row.cells[index]
                has_separator = has_separator or re.search(r"[\t\r\n]", row.cells[index]) is not None
    except PromptFileError:
        return False
    if has_separator:
        # Two stray marks far apart also balance, and would swallow every row between them.
        return len({line.count("\t") for _, line in plain_lines(text) if line.strip()}) > 1
    return has_doubled


def _header_is_quoted(text: str) -> bool:
    """A header with all names in quotation marks says that the cells are quoted, so that a broken quote is an error."""
    header = next((line for _, line in plain_lines(text) if line.strip()), "")
    return all(re.fullmatch(r'"[^"]+"', cell) for cell in header.split("\t"))


def table_records(text: str, dialect: Dialect) -> Iterator[Record]:
    """The rows below the header as named values; blank rows are skipped."""
    rows = (line for line in lines_of(text, dialect) if not line.is_blank)
    header = next(rows)
    names = _column_names(header)
    for row in rows:
        if len(row.cells) != len(names):
            problem = PromptFileError(
                f"the header in line {header.number} has {_cells(len(names))}, this row {_cells(len(row.cells))}",
                line=row.number,
                remedy=_ragged_remedy(dialect),
            )
            yield Record(row.number, {}, problem=problem)
            continue
        cells = (cell.strip() for cell in row.cells)
        yield Record(row.number, dict(zip(names, cells, strict=True)), has_cells=True)


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"


def _ragged_remedy(dialect: Dialect) -> str:
    if dialect.delimiter == "\t":
        return "give every row the same number of tabs"
    return "put quotation marks around cells that contain the separator"


def _column_names(header: Line) -> list[str]:
    names = [cell.strip() or f"column {number}" for number, cell in enumerate(header.cells, start=1)]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise PromptFileError(
                f'there are two columns "{shown(name)}"', line=header.number, remedy="rename one of them"
            )
    return names

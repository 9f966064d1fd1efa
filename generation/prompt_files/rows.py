"""What a prompt file turns into, how much of it is allowed, and how it is refused."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

MOST_PROBLEMS: Final = 50  # so many bad rows are listed before the rest of a file is left unread
MOST_BYTES: Final = 32 * 1024 * 1024
MOST_PROMPTS: Final = 100_000
LONGEST_PROMPT: Final = 10_000
LONGEST_NAME: Final = 200  # category, challenge and tags
LONGEST_TARGET_TEXT: Final = 1_000
LONGEST_METADATA: Final = 100_000  # characters of one prompt's metadata as JSON


class PromptFileError(ValueError):
    """A prompt file that cannot be imported: where, why, and what to do, in one sentence.

    columns: the names to choose from, where no column is known to hold the prompt
    others:  what else is wrong, further down the file
    """

    def __init__(
        self, reason: str, *, remedy: str, line: int | None = None, file_name: str = "", columns: Sequence[str] = ()
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy
        self.line = line
        self.file_name = file_name
        self.columns = tuple(columns)
        self.others: tuple[PromptFileError, ...] = ()

    @property
    def all(self) -> tuple["PromptFileError", ...]:
        """This one and the others, in the order of their lines."""
        return (self, *self.others)

    def __str__(self) -> str:
        place = ", ".join(filter(None, [self.file_name, f"line {self.line}" if self.line else ""]))
        return f"{place}: {self.reason}; {self.remedy}." if place else f"{self.reason}; {self.remedy}."


def shown(text: str, *, longest: int = 40) -> str:
    """A name from the file, fit for a message: short, and without characters that act on a terminal."""
    short = text if len(text) <= longest else f"{text[: longest - 3]}..."
    return "".join(character if character.isprintable() else "\ufffd" for character in short)


class PromptFormat(StrEnum):
    CSV = "CSV"
    TSV = "TSV"
    JSONL = "JSONL"
    JSON = "JSON"
    PLAIN_TEXT = "plain text, one prompt a line"
    FOLDER = "folder of .txt files, one prompt each"


@dataclass(frozen=True)
class Record:
    """One prompt as the file spells it: a bare text, or named values not yet understood."""

    line: int
    values: dict[str, Any] | str
    has_cells: bool = False  # from a table, where every value is a text and JSON hides in some
    file_name: str = ""  # of its own, in a folder of files
    problem: PromptFileError | None = None  # why this row cannot be read; the rows after it still can


@dataclass(frozen=True)
class PromptRow:
    """One prompt as it will be stored. `target_text` is None where nothing is to be read in the picture."""

    text: str
    category: str = ""
    challenge: str = ""
    target_text: str | None = None
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)
    line: int | None = None


@dataclass(frozen=True)
class PromptFile:
    """All prompts of a file in their order, and what a person should know about how they were read."""

    file_name: str
    format: PromptFormat
    rows: tuple[PromptRow, ...]
    remarks: tuple[str, ...] = ()
    target_texts_derived: bool = False
    columns: dict[str, str] = field(default_factory=dict)
    """Every column in the order of the file, with its meaning; empty where it is kept as metadata."""

    def without_duplicates(self) -> "PromptFile":
        """The same with only the first row of each text."""
        first: dict[str, PromptRow] = {}
        for row in self.rows:
            first.setdefault(row.text, row)
        return replace(self, rows=tuple(first.values()))

    @property
    def categories(self) -> dict[str, int]:
        return dict(Counter(row.category for row in self.rows if row.category))

    @property
    def challenges(self) -> dict[str, int]:
        return dict(Counter(row.challenge for row in self.rows if row.challenge))

    @property
    def with_target_text(self) -> int:
        return sum(row.target_text is not None for row in self.rows)

    @property
    def duplicates(self) -> int:
        """Rows whose text stood in an earlier row. They are kept: images made elsewhere are matched by position."""
        return len(self.rows) - len({row.text for row in self.rows})

    @property
    def extra_columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for row in self.rows for name in row.metadata))

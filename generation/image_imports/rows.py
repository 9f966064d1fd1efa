"""What a file of an import says about itself, how much of it is allowed, and how it is refused."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from generation.prompt_files import shown

MOST_FILE_BYTES: Final = 32 * 1024 * 1024
MOST_FILES: Final = 200_000
MOST_SAMPLES: Final = 1_000
LONGEST_NAME: Final = 255  # of a file; what file systems allow
LONGEST_CONTENDER: Final = 200
LONGEST_METADATA: Final = 20_000  # characters of one row's further columns as JSON
LARGEST_SEED: Final = 2**63 - 1


class ImageImportError(ValueError):
    """Something that cannot be imported: where, why, and what to do, in one sentence."""

    def __init__(
        self, reason: str, *, remedy: str, file_name: str = "", line: int | None = None, field: str = ""
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy
        self.file_name = file_name
        self.line = line
        self.field = field

    def __str__(self) -> str:
        place = ", ".join(filter(None, [named(self.file_name), f"line {self.line}" if self.line else ""]))
        return f"{place}: {self.reason}; {self.remedy}." if place else f"{self.reason}; {self.remedy}."


class ConflictError(ImageImportError):
    """A cell that already holds another picture."""


class Layout(StrEnum):
    """How files say which prompt and sample they are of."""

    MANIFEST = "manifest"
    DALLE3 = "dalle3"
    GENEVAL = "geneval"
    COMPBENCH = "compbench"


@dataclass(frozen=True)
class Claim:
    """A file and what it says it is: of which prompt (by its text, or by a number or name in the set), which sample.

    `rank` orders files that number no samples of their own: the lowest of a prompt's files is sample 0.
    """

    file: str
    prompt: str = ""
    prompt_id: str = ""
    sample: int | None = None
    rank: int | None = None
    contender: str = ""
    seed: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    line: int | None = None

    def __post_init__(self) -> None:
        if self.sample is not None and not 0 <= self.sample < MOST_SAMPLES:
            raise ImageImportError(
                f"sample {self.sample} lies outside 0 to {MOST_SAMPLES - 1}",
                remedy="number the samples of a prompt from 0",
                file_name=self.file,
                line=self.line,
                field="sample",
            )

    @property
    def place(self) -> str:
        """Where a person finds it."""
        return f"line {self.line} ({named(self.file)})" if self.line else named(self.file)


def named(file: str) -> str:
    """A file's name fit for a message: its last part if it is long, without characters that act on a terminal."""
    short = file if len(file) <= 80 else f"...{file[-77:]}"
    return shown(short, longest=80)


def plural(count: int, word: str) -> str:
    """Such as "1 image" and "1,200 images"."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"

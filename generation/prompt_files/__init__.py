"""Any prompt file to rows, whole or not at all: CSV, TSV, JSONL, JSON, plain text, and folders of .txt files."""

from generation.prompt_files.columns import COLUMNS
from generation.prompt_files.reading import check_columns, read_prompt_path, read_prompts
from generation.prompt_files.rows import (
    MOST_BYTES,
    MOST_PROMPTS,
    PromptFile,
    PromptFileError,
    PromptFormat,
    PromptRow,
    shown,
)

__all__ = [
    "COLUMNS",
    "MOST_BYTES",
    "MOST_PROMPTS",
    "PromptFile",
    "PromptFileError",
    "PromptFormat",
    "PromptRow",
    "check_columns",
    "read_prompt_path",
    "read_prompts",
    "shown",
]

"""Which column means what, and the limits of each: records as the file spells them to prompt rows.

A caller may say which column carries a meaning, or that none does (an empty name); the rest goes by names, which are
compared without case, blanks and punctuation (`Prompt_EN`, "prompt en" and `promptEn` are one). Where a file has
several names of one meaning, the first in the table wins; every column that is not understood becomes metadata.

    text         prompt, prompts, prompt_text, text_prompt, prompt_en, en_prompt, prompt_english, caption(s), text
    category     category, categories, tag
    challenge    challenge, challenges
    target_text  target_text, text_to_render, rendered_text, render_text, ocr_text
    tags         tags, keywords
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, Final, NamedTuple

from generation.prompt_files.rows import (
    LONGEST_METADATA,
    LONGEST_NAME,
    LONGEST_PROMPT,
    LONGEST_TARGET_TEXT,
    MOST_PROBLEMS,
    MOST_PROMPTS,
    PromptFileError,
    PromptRow,
    Record,
    shown,
)
from generation.prompt_files.strict_json import parse_strictly

COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "text": (
        *("prompt", "prompts", "prompttext", "textprompt", "prompten", "enprompt", "promptenglish"),
        *("caption", "captions", "text"),
    ),
    "category": ("category", "categories", "tag"),
    "challenge": ("challenge", "challenges"),
    "target_text": ("targettext", "texttorender", "renderedtext", "rendertext", "ocrtext"),
    "tags": ("tags", "keywords"),
}
# Also ordinary words of a prompt: alone they do not turn the first line of a text into a header.
_EVERYDAY_WORDS: Final = frozenset({"caption", "captions", "text"})
_MEANINGS: Final = {alias: (meaning, rank) for meaning, names in COLUMNS.items() for rank, alias in enumerate(names)}


@cache
def _plain(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())


Chosen = Mapping[str, str]
"""Meaning -> the column that carries it, as a person said; an empty name for none."""
BY_NAME: Final[Chosen] = {}


class Understood(NamedTuple):
    """One record: the row, which of its columns carries which meaning, and all of its columns."""

    row: PromptRow
    names: dict[str, str]
    columns: tuple[str, ...]


def is_prompt_column(name: str, chosen: Chosen = BY_NAME) -> bool:
    return name == chosen["text"] if chosen.get("text") else _plain(name) in COLUMNS["text"]


def has_prompt(names: Iterable[str], chosen: Chosen = BY_NAME) -> bool:
    return any(is_prompt_column(name, chosen) for name in names)


def is_surely_a_header(cells: list[str], chosen: Chosen = BY_NAME) -> bool:
    """A first line that can only be a header, whatever the file is called."""
    if chosen.get("text"):
        return chosen["text"] in [cell.strip() for cell in cells]
    names = [_plain(cell) for cell in cells]
    if len(names) == 1:
        return names[0] in COLUMNS["text"]
    meanings = {_MEANINGS[name][0] for name in names if name in _MEANINGS}
    return len(meanings) > 1 or any(name in COLUMNS["text"] and name not in _EVERYDAY_WORDS for name in names)


def rows_of(records: Iterable[Record], chosen: Chosen, *, problems: list[PromptFileError]) -> Iterator[Understood]:
    """Each record that can be read. What is wrong with the others goes to `problems`; after many it ends early."""
    for index, record in enumerate(records):
        if index == MOST_PROMPTS:
            raise PromptFileError(
                f"there are more than {MOST_PROMPTS:,} prompts",
                line=record.line,
                remedy="split it into several prompt sets",
            )
        try:
            understood = _row(record, chosen)
        except PromptFileError as error:
            error.line, error.file_name = record.line, record.file_name
            problems.append(error)
            if len(problems) == MOST_PROBLEMS:
                return
        else:
            yield understood


def _row(record: Record, chosen: Chosen) -> Understood:
    if record.problem is not None:
        raise record.problem
    values = {"prompt": record.values} if isinstance(record.values, str) else record.values
    names = _understood(values, chosen)
    if "text" not in names:
        raise _no_prompt(values)
    # What is understood by name but not by type is kept as metadata, rather than refused or bent.
    category, challenge = (_short_text(values.get(names.get(key, ""))) for key in ("category", "challenge"))
    tags = _tags(values.get(names.get("tags", "")))
    parsed = {"text": values[names["text"]], "category": category, "challenge": challenge, "tags": tags}
    used = {name for meaning, name in names.items() if meaning == "target_text" or parsed[meaning] is not None}
    row = PromptRow(
        text=_prompt(values[names["text"]], column=names["text"]),
        category=_limited(category or "", "category", LONGEST_NAME),
        challenge=_limited(challenge or "", "challenge", LONGEST_NAME),
        target_text=_target_text(values.get(names.get("target_text", ""))),
        tags=tuple(_limited(tag, "tag", LONGEST_NAME) for tag in tags or ()),
        metadata=_metadata({name: value for name, value in values.items() if name not in used}, cells=record.has_cells),
        line=record.line,
    )
    return Understood(row, names, () if isinstance(record.values, str) else tuple(values))


def _understood(values: dict[str, Any], chosen: Chosen) -> dict[str, str]:
    """Meaning -> the column of this record that carries it."""
    found: dict[str, tuple[int, str]] = {}
    for name in values:
        meaning, rank = _MEANINGS.get(_plain(name), ("", 0))
        is_free = meaning not in chosen and name not in chosen.values()
        if meaning and is_free and (meaning not in found or rank < found[meaning][0]):
            found[meaning] = rank, name
    said = {meaning: name for meaning, name in chosen.items() if name in values}
    return said | {meaning: name for meaning, (_, name) in found.items()}


def _no_prompt(values: dict[str, Any]) -> PromptFileError:
    names = ", ".join(shown(name) for name in list(values)[:10]) or "nothing"
    return PromptFileError(
        f"there is no prompt here, only {names}", remedy='give every row a "prompt"', columns=tuple(values)
    )


def _prompt(value: Any, *, column: str) -> str:
    if not isinstance(value, str):
        raise PromptFileError(f'"{shown(column)}" is not a text', remedy="write the prompt as a string")
    text = _clean(value)
    if not text:
        raise PromptFileError("the prompt is empty", remedy="write one or remove the row")
    return _limited(text, "prompt", LONGEST_PROMPT)


def _clean(text: str) -> str:
    """One kind of line end and no blanks around: the seed of an image is drawn from the exact text."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def _limited(text: str, what: str, longest: int) -> str:
    if len(text) > longest:
        raise PromptFileError(
            f"the {what} has {len(text):,} characters, more than the {longest:,} allowed", remedy="shorten it"
        )
    return text


def _short_text(value: Any) -> str | None:
    """A category as text; None when it is of another kind."""
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
        return ", ".join(_clean(part) for part in value)
    return None


def _tags(value: Any) -> tuple[str, ...] | None:
    """A list of texts, or one text with commas or semicolons between; None when it is of another kind."""
    if isinstance(value, str):
        listed = _json_or_text(value)
        value = listed if isinstance(listed, list) else value.replace(";", ",").split(",")
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return tuple(dict.fromkeys(tag for part in value if (tag := _clean(part))))
    return None


def _target_text(value: Any) -> str | None:
    """The text to render, several pieces one a line; None where there is none."""
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        value = "\n".join(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if value is not None and not isinstance(value, str):
        raise PromptFileError("the text to render is not a text", remedy="write it as a string or a list of strings")
    return _limited(_clean(value or ""), "text to render", LONGEST_TARGET_TEXT) or None


def _metadata(values: dict[str, Any], *, cells: bool) -> dict[str, Any]:
    metadata = {name: _json_or_text(value) for name, value in values.items() if value} if cells else values
    _limited(json.dumps(metadata, ensure_ascii=False), "metadata", LONGEST_METADATA)
    return metadata


def _json_or_text(text: str) -> Any:
    """A cell that holds a JSON list or object as such, any other as it stands."""
    if not text.lstrip().startswith(("[", "{")):
        return text
    try:
        return parse_strictly(text)
    except PromptFileError:
        return text

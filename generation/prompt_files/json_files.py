"""JSON and JSONL files: one record a prompt, with the line it begins in."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from generation.prompt_files.columns import BY_NAME, Chosen, has_prompt, is_prompt_column
from generation.prompt_files.rows import PromptFileError, Record, shown
from generation.prompt_files.strict_json import Cursor, duplicate_key, parse_strictly
from generation.prompt_files.tables import plain_lines

# Objects that only wrap the list; any other key over a list names the category of its prompts.
WRAPPERS: Final = frozenset({"prompts", "data", "rows", "items", "examples", "annotations"})


def jsonl_records(text: str) -> Iterator[Record]:
    """One object or string a line; blank lines are skipped."""
    for number, line in plain_lines(text):
        if line.strip():
            try:
                record = _record(parse_strictly(line, first_line=number), line=number)
            except PromptFileError as problem:
                record = Record(number, {}, problem=problem)
            yield record


def json_records(text: str, chosen: Chosen = BY_NAME) -> Iterator[Record]:
    """A list of strings or objects, an object over such lists (keys are categories) or over objects, or one object."""
    cursor = Cursor(text)
    if cursor.looks_at("["):
        for line, value in _items(cursor):
            yield _record(value, line=line)
        cursor.expect_end()
    else:
        members = dict(_members(cursor))
        cursor.expect_end()
        yield from _records_of_object(members, chosen)


@dataclass(frozen=True)
class _Member:
    """One value of an object; the items of a list with their lines."""

    line: int
    value: Any
    items: tuple[tuple[int, Any], ...] = ()


def _items(cursor: Cursor) -> Iterator[tuple[int, Any]]:
    cursor.expect("[")
    if cursor.takes("]"):
        return
    while True:
        yield cursor.line(), cursor.value()
        if cursor.takes("]"):
            return
        cursor.expect(",", before="]")


def _members(cursor: Cursor) -> Iterator[tuple[str, _Member]]:
    seen: set[str] = set()
    cursor.expect("{")
    if cursor.takes("}"):
        return
    while True:
        line, key = cursor.line(), cursor.key()
        if key in seen:
            raise duplicate_key(key, line=line)
        seen.add(key)
        cursor.expect(":")
        if cursor.looks_at("["):
            items = tuple(_items(cursor))
            yield key, _Member(line, [value for _, value in items], items)
        else:
            yield key, _Member(line, cursor.value())
        if cursor.takes("}"):
            return
        cursor.expect(",", before="}")


def _records_of_object(members: dict[str, _Member], chosen: Chosen) -> Iterator[Record]:
    first_line = min((member.line for member in members.values()), default=1)
    lists = {key: member for key, member in members.items() if isinstance(member.value, list)}
    if any(is_prompt_column(key, chosen) and isinstance(member.value, str) for key, member in members.items()):
        yield Record(first_line, {key: member.value for key, member in members.items()})
    elif lists:
        _refuse_columns(lists)
        for key, member in lists.items():
            for line, item in member.items:
                yield _record(item, line=line, category="" if key.casefold() in WRAPPERS else key)
    elif members and all(_is_prompt(member.value, chosen) for member in members.values()):
        for key, member in members.items():
            yield Record(member.line, {"key": key, **member.value})
    else:
        raise PromptFileError(
            "no prompts are found in this object",
            line=first_line,
            remedy="write a list of strings, or of objects with a prompt",
        )


def _is_prompt(value: Any, chosen: Chosen) -> bool:
    return isinstance(value, dict) and has_prompt(value, chosen)


def _refuse_columns(lists: dict[str, _Member]) -> None:
    """Columns side by side would otherwise be read as categories, and their values as prompts."""
    columns = [key for key in lists if is_prompt_column(key)]
    if columns and len(lists) > 1:
        raise PromptFileError(
            f'the columns stand side by side, "{shown(columns[0])}" among them',
            line=lists[columns[0]].line,
            remedy="write a list with one object a prompt (in pandas: to_json(orient='records'))",
        )


def _record(value: Any, *, line: int, category: str = "") -> Record:
    if isinstance(value, str):
        return Record(line, {"prompt": value, "category": category} if category else value)
    if isinstance(value, dict):
        return Record(line, {"category": category, **value} if category else value)
    kind = {list: "a list", bool: "true or false", type(None): "null"}.get(type(value), "a number")
    raise PromptFileError(
        f"here is {kind} where a prompt should be", line=line, remedy="write a string, or an object with a prompt"
    )

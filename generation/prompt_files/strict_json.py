"""JSON values read strictly: no NaN, no duplicate keys, nothing a database cannot store."""

import json
import math
import re
from collections.abc import Callable
from typing import Any, Final, NoReturn

from generation.prompt_files.decoding import line_number
from generation.prompt_files.rows import PromptFileError, shown

DEEPEST: Final = 32
LARGEST_INTEGER: Final = 2**63 - 1
_SPACE: Final = re.compile(r"[ \t\r\n]*+")


def parse_strictly(text: str, *, first_line: int = 1) -> Any:
    """One whole JSON value, or a PromptFileError that names the line."""
    value, end = value_at(text, skip_space(text, 0), first_line=first_line)
    end = skip_space(text, end)
    if end < len(text):
        raise broken(text, end, "more text follows the end", first_line=first_line)
    return value


class Cursor:
    """Walks through one JSON document part by part and knows the line it is in."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = skip_space(text, 0)
        self._counted, self._line = 0, 1

    def line(self) -> int:
        self._line += line_number(self._text, self._at, start=self._counted) - 1
        self._counted = self._at
        return self._line

    def looks_at(self, character: str) -> bool:
        return self._text.startswith(character, self._at)

    def takes(self, character: str) -> bool:
        """Step over the character where it stands here."""
        if not self.looks_at(character):
            return False
        self._at = skip_space(self._text, self._at + 1)
        return True

    def expect(self, character: str, *, before: str = "") -> None:
        if not self.takes(character):
            wanted = f'"{character}" or "{before}"' if before else f'"{character}"'
            raise broken(self._text, self._at, f"{wanted} is expected")

    def expect_end(self) -> None:
        if self._at < len(self._text):
            raise broken(self._text, self._at, "more text follows the end")

    def key(self) -> str:
        if not self.looks_at('"'):
            raise broken(self._text, self._at, "a key in quotation marks is expected")
        return str(self.value())

    def value(self) -> Any:
        value, end = value_at(self._text, self._at)
        self._at = skip_space(self._text, end)
        return value


def skip_space(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position


def value_at(text: str, position: int, *, first_line: int = 1) -> tuple[Any, int]:
    try:
        value, end = _DECODER.raw_decode(text, position)
        _refuse_unstorable(value)
    except json.JSONDecodeError as error:
        raise broken(text, error.pos, error.msg[0].lower() + error.msg[1:], first_line=first_line) from None
    except RecursionError:
        refusal = _too_deep()
        refusal.line = first_line + line_number(text, position) - 1
        raise refusal from None
    except PromptFileError as error:
        error.line = first_line + line_number(text, position) - 1
        raise
    return value, end


def broken(text: str, position: int, reason: str, *, first_line: int = 1) -> PromptFileError:
    column = position - max(text.rfind("\n", 0, position), text.rfind("\r", 0, position))
    return PromptFileError(
        f"this is not valid JSON ({reason}, column {column})",
        line=first_line + line_number(text, position) - 1,
        remedy="correct it or export the file again",
    )


def _refuse_unstorable(value: Any, *, depth: int = 1) -> None:
    if isinstance(value, str):
        if "\0" in value:
            raise PromptFileError("a string contains a NUL character", remedy="remove it")
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise PromptFileError("a string contains half a surrogate pair", remedy="export the file again as UTF-8")
    elif isinstance(value, dict | list):
        if depth > DEEPEST:
            raise _too_deep()
        for part in [*value, *value.values()] if isinstance(value, dict) else value:
            _refuse_unstorable(part, depth=depth + 1)


def _too_deep() -> PromptFileError:
    return PromptFileError(f"the JSON is nested more than {DEEPEST} levels deep", remedy="flatten it")


def duplicate_key(key: str, *, line: int | None = None) -> PromptFileError:
    return PromptFileError(
        f'the key "{shown(key)}" is there twice in one object', line=line, remedy="remove one of them"
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise duplicate_key(key)
        found[key] = value
    return found


def _number(convert: Callable[[str], int | float]) -> Callable[[str], int | float]:
    def parse(digits: str) -> int | float:
        # The length first: converting a million digits takes minutes.
        value = convert(digits) if len(digits) <= 400 else math.inf
        if not math.isfinite(value) or (isinstance(value, int) and abs(value) > LARGEST_INTEGER):
            raise PromptFileError(f"the number {shown(digits)} is too large", remedy="write it as a string")
        return value

    return parse


def _constant(name: str) -> NoReturn:
    raise PromptFileError(f"{name} is not valid JSON", remedy="write null instead")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_number(int), parse_float=_number(float), parse_constant=_constant
)

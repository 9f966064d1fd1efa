"""What a named option may be: one rule for each, with the words that a refusal needs. No torch here."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from generation.errors import GenerationError


@dataclass(frozen=True)
class OptionRule:
    """Which values an option takes, and how a person reads that."""

    expected: str
    accepts: Callable[[Any], bool]


def flag() -> OptionRule:
    """True or false."""
    return OptionRule("true or false", lambda value: isinstance(value, bool))


def whole(least: int, most: int) -> OptionRule:
    """A whole number within bounds."""
    return OptionRule(f"a whole number from {least} to {most}", lambda value: _is_whole(value, least, most))


def number(least: float, most: float) -> OptionRule:
    """A finite number within bounds."""
    return OptionRule(f"a number from {least:g} to {most:g}", lambda value: _is_number(value, least, most))


def one_of(*choices: str) -> OptionRule:
    """One of a few words."""
    return OptionRule(f"one of {', '.join(choices)}", lambda value: isinstance(value, str) and value in choices)


def pair(least: int, most: int) -> OptionRule:
    """Two whole numbers: height and width, or top and left."""
    return OptionRule(
        f"two whole numbers from {least} to {most}",
        lambda value: _is_list(value) and len(value) == 2 and all(_is_whole(item, least, most) for item in value),
    )


def layers() -> OptionRule:
    """Numbers of layers."""
    return OptionRule(
        "a list of layer numbers such as [7, 8, 9]",
        lambda value: _is_list(value) and 0 < len(value) <= 100 and all(_is_whole(item, 0, 999) for item in value),
    )


def check_options(options: Mapping[str, Any], rules: Mapping[str, OptionRule], *, owner: str, word: str) -> None:
    """Refuse the first option that `owner` does not have, or whose value it could not use."""
    for name, value in sorted(options.items()):
        rule = rules.get(name)
        if rule is None:
            known = ", ".join(sorted(rules)) or "none"
            raise GenerationError(f"{owner} has no {word} {name!r} here; options: {known}.")
        if not rule.accepts(value):
            raise GenerationError(f"The {word} {name} of {owner} must be {rule.expected}, not {value!r}.")


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _is_whole(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_number(value: Any, least: float, most: float) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and least <= value <= most

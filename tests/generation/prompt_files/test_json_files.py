"""JSON and JSONL: nothing lost on the way in."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from generation.prompt_files import PromptRow, read_prompts

TEXTS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=20)
PROMPTS = TEXTS.map(lambda text: text.replace("\r", " ").strip()).filter(bool)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(TEXTS, children, max_size=3),
    max_leaves=8,
)
ITEMS = st.lists(st.tuples(PROMPTS, VALUES), min_size=1, max_size=5)


def expected(items: list[tuple[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    return [(prompt, {"include": value}) for prompt, value in items]


def rows_of(text: str, name: str) -> list[tuple[str, dict[str, Any]]]:
    file = read_prompts(text.encode(), file_name=name)
    return [(row.text, row.metadata) for row in file.rows]


@settings(deadline=None)
@given(items=ITEMS, is_ascii=st.booleans())
def test_jsonl_round_trip(items: list[tuple[str, Any]], is_ascii: bool) -> None:
    lines = [json.dumps({"prompt": prompt, "include": value}, ensure_ascii=is_ascii) for prompt, value in items]
    assert rows_of("\n".join(lines), "a.jsonl") == expected(items)


@settings(deadline=None)
@given(items=ITEMS, indent=st.sampled_from([None, 1]))
def test_json_round_trip(items: list[tuple[str, Any]], indent: int | None) -> None:
    listed = [{"prompt": prompt, "include": value} for prompt, value in items]
    assert rows_of(json.dumps(listed, indent=indent), "a.json") == expected(items)


def test_an_empty_value_in_json_is_kept() -> None:
    file = read_prompts(b'[{"prompt": "a", "x": "", "y": null, "z": "[1]"}]', file_name="a.json")
    assert file.rows == (PromptRow(text="a", metadata={"x": "", "y": None, "z": "[1]"}, line=1),)

"""Which column means what."""

import json
from typing import Any

import pytest

from generation.prompt_files import PromptRow, read_prompts


def row_of(**values: Any) -> PromptRow:
    [row] = read_prompts(json.dumps([values]).encode(), file_name="a.json").rows
    return row


@pytest.mark.parametrize(
    "name", ["prompt", "Prompts", "PROMPT_EN", "prompt en", "promptEn", "text_prompt", "caption", "Text", "captions"]
)
def test_the_prompt_has_many_names(name: str) -> None:
    assert row_of(**{name: "a cat"}) == PromptRow(text="a cat", line=1)


def test_the_first_of_several_names_wins_and_the_others_are_kept() -> None:
    assert row_of(text="STOP", caption="a sign", prompt="a stop sign", tag="signs", category="street") == PromptRow(
        text="a stop sign", category="street", metadata={"text": "STOP", "caption": "a sign", "tag": "signs"}, line=1
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [(["a", " b ", "a", ""], ("a", "b")), ("a, b;c", ("a", "b", "c")), ('["a, b"]', ("a, b",)), (None, ())],
)
def test_tags_come_as_a_list_or_as_one_text(value: Any, expected: tuple[str, ...]) -> None:
    assert row_of(prompt="a cat", tags=value).tags == expected


@pytest.mark.parametrize(("value", "expected"), [(3, "3"), ("x ", "x"), (["a", "b"], "a, b")])
def test_a_category_is_brought_to_text(value: Any, expected: str) -> None:
    assert row_of(prompt="a cat", category=value) == PromptRow(text="a cat", category=expected, line=1)


def test_what_is_understood_by_name_but_not_by_type_is_kept_as_metadata() -> None:
    odd: dict[str, Any] = {"category": {"main": "x"}, "challenge": None, "tags": [1]}
    assert row_of(prompt="a cat", **odd) == PromptRow(text="a cat", metadata=odd, line=1)


@pytest.mark.parametrize(
    ("value", "expected"), [("STOP", "STOP"), ("", None), (None, None), (["A", "B"], "A\nB"), (7, "7")]
)
def test_a_column_for_the_text_to_render_is_taken_at_its_word(value: Any, expected: str | None) -> None:
    file = read_prompts(
        json.dumps([{"prompt": 'a "sign"', "target_text": value}, {"prompt": 'a "board"'}]).encode(), file_name="a.json"
    )
    assert [row.target_text for row in file.rows] == [expected, None]
    assert not file.target_texts_derived
    assert file.with_target_text == (expected is not None)


def test_deriving_the_text_to_render_can_be_turned_off() -> None:
    file = read_prompts(b'a sign that says "STOP"', file_name="a.txt", derive_target_text=False)
    assert (file.with_target_text, file.target_texts_derived) == (0, False)


def test_a_quotation_too_long_to_paint_is_no_text_to_render() -> None:
    file = read_prompts(f'a sign that says "{"x" * 1001}"'.encode(), file_name="a.txt")
    assert file.with_target_text == 0


def test_an_empty_column_for_the_text_to_render_is_taken_at_its_word_too() -> None:
    file = read_prompts(b'prompt,target_text,note\na "sign",,\n', file_name="a.csv")
    assert file.rows == (PromptRow(text='a "sign"', line=2),)

"""Which prompts a study takes of a set."""

from collections import Counter
from typing import Any

import pytest

from generation.prompt_files import PromptRow
from generation.prompt_sampling import (
    Candidate,
    SampleError,
    SampleRule,
    candidates_of,
    draw,
    numbers_from_words,
    prompts_drawn,
    shares_of,
    words_from_numbers,
)
from generation.prompt_sets import save_prompt_set

CATEGORIES = ["animals"] * 60 + ["food"] * 30 + ["signs"] * 9 + [""]


def candidates(categories: list[str] = CATEGORIES) -> list[Candidate]:
    return [
        Candidate(100 + at, at, f"digest {at}", category, has_text=category == "signs")
        for at, category in enumerate(categories)
    ]


def places(rule: SampleRule) -> list[int]:
    return [one.position for one in draw(candidates(), rule)]


def test_without_a_count_everything_is_taken_in_its_order() -> None:
    assert places(SampleRule()) == list(range(100))


def test_a_stratified_draw_has_each_category_in_its_share() -> None:
    drawn = draw(candidates(), SampleRule(count=20, seed=3))
    assert Counter(one.category for one in drawn) == {"animals": 12, "food": 6, "signs": 1, "": 1}
    assert [one.position for one in drawn] == sorted(one.position for one in drawn)


def test_the_same_seed_draws_the_same_and_another_seed_another() -> None:
    assert places(SampleRule(count=20, seed=3)) == places(SampleRule(count=20, seed=3))
    assert places(SampleRule(count=20, seed=3)) != places(SampleRule(count=20, seed=4))


def test_a_draw_is_the_same_on_every_machine() -> None:
    assert places(SampleRule(count=6, seed=7, stratified=False)) == PINNED


def test_a_larger_draw_holds_the_smaller_one() -> None:
    small, large = (set(places(SampleRule(count=count, seed=1, stratified=False))) for count in (10, 40))
    assert small < large


def test_every_kth_is_taken_after_what_is_left_out() -> None:
    rule = SampleRule(exclude_categories=("animals",), every=10)
    assert places(rule) == [60, 70, 80, 90]


def test_numbers_are_left_out_as_the_page_shows_them() -> None:
    assert places(SampleRule(exclude_numbers=(1, 100), categories=("animals", ""))) == list(range(1, 60))


@pytest.mark.parametrize(("text", "count"), [("any", 100), ("with", 9), ("without", 91)])
def test_text_to_render_can_be_wanted_or_not(text: str, count: int) -> None:
    assert len(places(SampleRule(text=text))) == count


def test_a_rule_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(SampleError, match="No prompt is left"):
        draw(candidates(), SampleRule(categories=("nowhere",)))


@pytest.mark.parametrize(
    ("sizes", "count", "shares"),
    [
        ({"a": 50, "b": 50}, 10, {"a": 5, "b": 5}),
        ({"a": 98, "b": 1, "c": 1}, 10, {"a": 8, "b": 1, "c": 1}),
        ({"a": 3, "b": 3, "c": 3}, 2, {"a": 1, "b": 1, "c": 0}),
        ({"a": 1, "b": 1, "c": 10}, 11, {"a": 1, "b": 1, "c": 9}),
    ],
)
def test_shares_add_up_and_no_category_gives_more_than_it_has(
    sizes: dict[str, int], count: int, shares: dict[str, int]
) -> None:
    assert shares_of(sizes, count) == shares


def test_numbers_can_be_written_as_ranges_and_back() -> None:
    assert numbers_from_words("3, 10-12;5") == (3, 10, 11, 12, 5)
    assert words_from_numbers((3, 10, 11, 12, 5)) == "3, 5, 10-12"


@pytest.mark.parametrize("words", ["x", "5-", "-5", "12-10", "1-99999999", "1-2000", "3..5", "²"])
def test_what_is_no_number_is_refused(words: str) -> None:
    with pytest.raises(SampleError) as refused:
        numbers_from_words(words)
    assert refused.value.field == "exclude_numbers"


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"count": 0}, "count"),
        ({"count": True}, "count"),
        ({"seed": -1}, "seed"),
        ({"every": "2"}, "every"),
        ({"text": "maybe"}, "text"),
        ({"stratified": 1}, "stratified"),
        ({"exclude_numbers": ["3"]}, "exclude_numbers"),
        ({"categories": "animals"}, "categories"),
        ({"shuffle": True}, "shuffle"),
    ],
)
def test_a_rule_in_a_file_is_refused_by_the_name_of_its_entry(said: dict[str, Any], field: str) -> None:
    with pytest.raises(SampleError) as refused:
        SampleRule.from_json(said)
    assert refused.value.field == field


def test_a_rule_comes_back_from_json_as_it_was() -> None:
    rule = SampleRule(count=5, seed=2, exclude_categories=("food",), exclude_numbers=(4,), text="without")
    assert SampleRule.from_json(rule.to_json()) == rule
    assert SampleRule().to_json() == {}


def test_rows_are_drawn_from_a_stored_set(db: None) -> None:
    rows = [PromptRow(text=f"prompt {at}", category="ab"[at % 2]) for at in range(10)]
    saved = save_prompt_set(name="Ten", rows=rows)
    drawn = prompts_drawn(saved, SampleRule(count=4, seed=1))
    assert Counter(prompt.category for prompt in drawn) == {"a": 2, "b": 2}
    assert [one.pk for one in draw(candidates_of(saved), SampleRule(count=4, seed=1))] == [one.pk for one in drawn]


PINNED = [11, 44, 46, 48, 57, 82]

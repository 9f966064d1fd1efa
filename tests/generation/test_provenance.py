"""Digests are names that must never change by accident."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.provenance import canonical_json, digest_of, pixels_digest, request_digest, seed_for, text_digest

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("aé☃ ", max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
)


def test_canonical_json_is_one_text_for_one_value() -> None:
    value = {"b": [1.0, 0.1, -0.0, True, None, (1, 2)], "a": "é"}
    assert canonical_json(value) == '{"a":"é","b":[1,0.1,0,true,null,[1,2]]}'


@given(JSON_VALUES)
def test_a_round_trip_through_json_keeps_the_digest(value: Any) -> None:
    assert digest_of(json.loads(json.dumps(value))) == digest_of(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [float("-inf")]}, {1: 2}, {"a": object()}, b"x"])
def test_values_without_a_canonical_form_are_refused(value: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=r"canonical JSON"):
        canonical_json(value)


def test_digests_do_not_change_between_versions() -> None:
    # Images are found by these; a changed digest would make every image of every installation "missing".
    assert text_digest("a red circle") == "a1e4a280d27cad5b1aa05b230031f649a0ef0b265df51db178bcf44ccd129fd0"
    wanted = request_digest(recipe_digest="ab", prompt_text="a red circle", sample=1)
    assert wanted == "7a7eb5cf76928d9872f438285e91dc5af566c648e40fc39e752b8bf9acd845ac"
    assert seed_for(prompt_text="a red circle", sample=0) == 9197663876860456760


def test_requests_differ_by_recipe_prompt_and_sample() -> None:
    asked = [("r1", "p", 0), ("r2", "p", 0), ("r1", "q", 0), ("r1", "p", 1)]
    assert len({request_digest(recipe_digest=r, prompt_text=p, sample=s) for r, p, s in asked}) == 4


@given(st.text(), st.integers(0, 1000))
def test_seeds_fit_a_signed_64_bit_column(text: str, sample: int) -> None:
    assert 0 <= seed_for(prompt_text=text, sample=sample) < 2**63


def test_seeds_depend_on_text_and_sample_alone() -> None:
    seeds = {seed_for(prompt_text=text, sample=sample) for text in ("a", "b") for sample in (0, 1)}
    assert len(seeds) == 4


def test_pixels_have_another_digest_in_another_shape() -> None:
    assert pixels_digest(bytes(24), width=4, height=2) != pixels_digest(bytes(24), width=2, height=4)
    with pytest.raises(ValueError, match="4 x 3 RGB pixels are 36 bytes, not 24"):
        pixels_digest(bytes(24), width=4, height=3)


def test_the_order_of_keys_and_the_kind_of_number_change_no_digest() -> None:
    assert digest_of({"a": 1, "b": {"c": 2.0, "d": [3]}}) == digest_of({"b": {"d": [3.0], "c": 2}, "a": 1.0})
    assert digest_of([0.1, 1e-7, 2.5]) == digest_of(json.loads("[0.10, 0.0000001, 2.50]"))
    assert digest_of({"a": 1}) != digest_of({"a": True})


def test_two_ways_to_write_a_letter_are_two_prompts() -> None:
    # Tokenizers tell them apart, so that one hash for both would hand out an image of the other text.
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    asked = {request_digest(recipe_digest="r", prompt_text=text, sample=0) for text in (composed, decomposed)}
    assert len(asked) == 2
    assert canonical_json(composed) == '"caf\u00e9"'

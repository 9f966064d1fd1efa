"""Which marks in a prompt quote a text to render."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generation.prompt_files.quoted_text import text_to_render


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ('a sign that says "Very Deep Learning" and is', "Very Deep Learning"),
        ('"G I G G L E" painted in thick lettering', "G I G G L E"),
        ('a robot with "Let\'s PAINT!" written on it', "Let's PAINT!"),
        ('the words "LOVE" in one and "PEACE" in the other', "LOVE\nPEACE"),
        ('the word "GO" over the word "GO"', "GO"),
        ('a sign reading "OPEN," in red', "OPEN"),
        ('a board ("MENU") in a café', "MENU"),
        ("a poster “Grand Opening” on a wall", "Grand Opening"),
        ("ein Schild „Halt“ im Wald", "Halt"),
        ("une affiche « Bonjour » au mur", "Bonjour"),
        ("看板「営業中」", "営業中"),
        ("a boat with 'BLUE GROOVE' written on its hull", "BLUE GROOVE"),
        ("a book with the words 'Don't Panic!' written on it", "Don't Panic!"),
        ("the word 'START' written above the word 'SMILING'", "START\nSMILING"),
        ("the word ‘openai’ on a store front", "openai"),
        ("a wooden post with a blue '5' painted on top", "5"),
        ("holding a sign saying 'plz conserve'", "plz conserve"),
        ("the cover of a book called 'Backpropaganda' by I.C. Gradients", "Backpropaganda"),
    ],
)
def test_quoted_text_is_to_be_rendered(prompt: str, expected: str) -> None:
    assert text_to_render(prompt) == expected


@pytest.mark.parametrize(
    "prompt",
    [
        "a t-shirt with Carpe Diem written on it",
        "world's best brother t-shirt",
        "a corgi’s head next to an ostrich's face",
        "a kids' book cover in the dogs' room",
        "a rock 'n' roll band of the '80s",
        'a 5" screen beside a 6" phone',
        'an unclosed "mark',
        'an empty "" pair and a blank " " one',
        "",
    ],
)
def test_apostrophes_inches_and_stray_marks_quote_nothing(prompt: str) -> None:
    assert text_to_render(prompt) is None


@settings(deadline=None)
@given(st.text(st.sampled_from("ab'\"‘’“”«» \n,5"), max_size=60))
def test_any_text_is_answered_with_a_part_of_it_or_nothing(prompt: str) -> None:
    pieces = text_to_render(prompt)
    assert pieces is None or all(piece and piece in prompt for piece in pieces.split("\n"))

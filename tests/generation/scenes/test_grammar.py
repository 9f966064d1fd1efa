"""Scenes to captions and back: one caption for one scene, and nothing else is a caption."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generation.scenes import CaptionError, Scene, Sign, caption_of, parse_caption
from generation.scenes.grammar import SceneObject, pair, several, single
from generation.scenes.vocabulary import (
    COLOURS,
    COUNTS,
    GRAMMAR_WORDS,
    LETTERS,
    LONGEST_WORD,
    PLURALS,
    POSITIONS,
    RELATIONS,
    SHAPES,
)

COLOUR = st.sampled_from(sorted(COLOURS))
THING = st.tuples(COLOUR, st.sampled_from(SHAPES))
WORD = st.text(LETTERS, min_size=1, max_size=LONGEST_WORD)
SCENES = st.one_of(
    st.builds(
        lambda thing, position, background: single(
            colour=thing[0], shape=thing[1], position=position, background=background
        ),
        THING,
        st.sampled_from(sorted(POSITIONS)),
        COLOUR,
    ),
    st.builds(
        lambda first, relation, second, background: pair(
            first=first, relation=relation, second=second, background=background
        ),
        THING,
        st.sampled_from(sorted(RELATIONS)),
        THING,
        COLOUR,
    ),
    st.builds(
        lambda count, thing, background: several(count=count, colour=thing[0], shape=thing[1], background=background),
        st.sampled_from(sorted(COUNTS)),
        THING,
        COLOUR,
    ),
    st.builds(lambda background, colour, text: Scene(background, sign=Sign(colour, text)), COLOUR, COLOUR, WORD),
)


@settings(deadline=None, max_examples=500)
@given(scene=SCENES)
def test_a_caption_says_its_scene(scene: Scene) -> None:
    assert parse_caption(caption_of(scene)) == scene


def test_every_single_object_has_a_caption_of_its_own() -> None:
    scenes = [
        single(colour=colour, shape=shape, position=position, background=background)
        for colour in COLOURS
        for shape in SHAPES
        for position in POSITIONS
        for background in COLOURS
    ]
    captions = {caption_of(scene): scene for scene in scenes}
    assert len(captions) == len(scenes)
    assert {text: parse_caption(text) for text in captions} == captions


@pytest.mark.parametrize(
    ("scene", "caption"),
    [
        (
            single(colour="red", shape="circle", position="on the left", background="orange"),
            "a red circle on the left on an orange background",
        ),
        (
            pair(first=("orange", "star"), relation="above", second=("blue", "cross"), background="white"),
            "an orange star above a blue cross on a white background",
        ),
        (
            several(count="three", colour="orange", shape="cross", background="cyan"),
            "three orange crosses on a cyan background",
        ),
        (
            several(count="two", colour="grey", shape="ring", background="orange"),
            "two grey rings on an orange background",
        ),
        (Scene("orange", sign=Sign("orange", "A")), 'an orange sign that says "A" on an orange background'),
        (Scene("black", sign=Sign("yellow", "STOP")), 'a yellow sign that says "STOP" on a black background'),
    ],
)
def test_captions_are_plain_english(scene: Scene, caption: str) -> None:
    assert caption_of(scene) == caption


def test_left_of_and_right_of_place_the_first_object() -> None:
    first, second = ("red", "circle"), ("blue", "star")
    left = pair(first=first, relation="left of", second=second, background="white")
    right = pair(first=first, relation="right of", second=second, background="white")
    assert left.objects == (SceneObject("red", "circle", 0.28, 0.5), SceneObject("blue", "star", 0.72, 0.5))
    assert right.objects == (SceneObject("red", "circle", 0.72, 0.5), SceneObject("blue", "star", 0.28, 0.5))


def test_plurals_are_read_back_as_their_shapes() -> None:
    assert PLURALS["cross"] == "crosses"
    for shape, plural in PLURALS.items():
        for count, places in COUNTS.items():
            scene = parse_caption(f"{count} red {plural} on a white background")
            assert scene == several(count=count, colour="red", shape=shape, background="white")
            assert scene.objects == tuple(SceneObject("red", shape, x, y) for x, y in places)


@given(scene=SCENES)
def test_captions_use_the_words_of_the_grammar_only(scene: Scene) -> None:
    text = caption_of(scene)
    if scene.sign is not None:
        text = text.replace(f'"{scene.sign.text}" ', "")
    assert set(text.split()) <= set(GRAMMAR_WORDS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a cat",
        "a orange circle on the left on a red background",
        "an red circle on the left on a blue background",
        "a red circle on the left on a orange background",
        "A red circle on the left on a blue background",
        "a red circle on the left on a blue background.",
        "a red circle on the left on a blue background\n",
        " a red circle on the left on a blue background",
        "a red  circle on the left on a blue background",
        "a red circle on a blue background",
        "a violet circle on the left on a blue background",
        "a red hexagon on the left on a blue background",
        "a red circle left of on a blue background",
        "a red circles on the left on a blue background",
        "one red circle on a blue background",
        "two red circle on a blue background",
        "two red crosss on a blue background",
        "six red circles on a blue background",
        "two red circles on the left on a blue background",
        "a two red circles on a blue background",
        "an orange circle above an red star on a blue background",
        "a red circle beside a green star on a blue background",
        'a red sign that says "" on a blue background',
        'a red sign that says "stop" on a blue background',
        'a red sign that says "STOPS" on a blue background',
        'a red sign that says "ÄH" on a blue background',
        "a red sign that says STOP on a blue background",
    ],
)
def test_any_other_sentence_is_refused(text: str) -> None:
    with pytest.raises(CaptionError, match="not a caption of the scene world"):
        parse_caption(text)


@settings(deadline=None)
@given(scene=SCENES, data=st.data())
def test_a_caption_with_one_letter_changed_is_refused_or_says_another_scene(scene: Scene, data: st.DataObject) -> None:
    caption = caption_of(scene)
    place = data.draw(st.integers(0, len(caption) - 1))
    other = caption[:place] + data.draw(st.sampled_from(string.ascii_letters + ' "')) + caption[place + 1 :]
    try:
        parsed = parse_caption(other)
    except CaptionError:
        return
    assert caption_of(parsed) == other

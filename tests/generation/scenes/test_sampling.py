"""Which scenes are trained on and which are held out."""

from collections import Counter

import numpy as np
import pytest

from generation.scenes import Scene, caption_of, demo_scenes, held_out_scenes, random_scene
from generation.scenes.grammar import single
from generation.scenes.sampling import HELD_OUT_SHARE, KINDS, SHARES, is_held_out
from generation.scenes.vocabulary import COLOURS, COUNTS, HELD_OUT_WORDS, POSITIONS, RELATIONS, SHAPES, TRAINING_WORDS


@pytest.fixture(scope="module")
def trained() -> list[Scene]:
    rng = np.random.default_rng(0)
    return [random_scene(rng) for _ in range(20_000)]


def kind_of(scene: Scene) -> str:
    if scene.sign is not None:
        return "sign"
    return "several" if scene.place in COUNTS else KINDS[len(scene.objects) - 1]


def test_training_never_sees_a_held_out_caption_or_word(trained: list[Scene]) -> None:
    assert not any(is_held_out(scene) for scene in trained)
    assert {caption_of(scene) for scene in trained}.isdisjoint(map(caption_of, held_out_scenes(2000)))
    assert {scene.sign.text for scene in trained if scene.sign}.isdisjoint(HELD_OUT_WORDS)


def test_training_sees_every_kind_as_often_as_said(trained: list[Scene]) -> None:
    kinds = Counter(kind_of(scene) for scene in trained)
    for kind, share in zip(KINDS, SHARES, strict=True):
        # Five standard errors, and that held-out scenes of things (not of random words) are drawn again.
        assert kinds[kind] / len(trained) == pytest.approx(share, abs=0.017 + HELD_OUT_SHARE * share)


def test_training_sees_every_word_of_the_grammar(trained: list[Scene]) -> None:
    things = [thing for scene in trained for thing in scene.objects]
    assert {thing.colour for thing in things} == {scene.background for scene in trained} == set(COLOURS)
    assert {thing.shape for thing in things} == set(SHAPES)
    assert {scene.place for scene in trained} == {*POSITIONS, *RELATIONS, *COUNTS, ""}
    assert set(TRAINING_WORDS) <= {scene.sign.text for scene in trained if scene.sign}


def test_things_never_have_the_colour_of_the_background(trained: list[Scene]) -> None:
    for scene in trained:
        colours = {scene.sign.colour} if scene.sign else {thing.colour for thing in scene.objects}
        assert scene.background not in colours


@pytest.mark.parametrize("signs", [0.0, 0.25, 0.5])
def test_held_out_scenes_are_different_held_out_and_of_every_kind(signs: float) -> None:
    scenes = held_out_scenes(200, seed=4242, signs=signs)
    assert len({caption_of(scene) for scene in scenes}) == 200
    assert all(is_held_out(scene) for scene in scenes)
    assert sum(scene.sign is not None for scene in scenes) == 200 * signs
    assert {kind_of(scene) for scene in scenes} == set(KINDS if signs else KINDS[:3])
    assert {scene.place for scene in scenes if not scene.sign} == {*POSITIONS, *RELATIONS, *COUNTS}


def test_one_caption_of_a_single_object_in_twenty_is_held_out() -> None:
    scenes = [
        single(colour=colour, shape=shape, position=position, background=background)
        for colour in COLOURS
        for background in COLOURS
        for shape in SHAPES
        for position in POSITIONS
        if colour != background
    ]
    share = np.mean([is_held_out(scene) for scene in scenes])
    assert len(scenes) == 12 * 11 * 8 * 5
    assert share == pytest.approx(HELD_OUT_SHARE, abs=0.01)


def test_no_held_out_word_is_a_training_word() -> None:
    assert set(HELD_OUT_WORDS).isdisjoint(TRAINING_WORDS)


def test_demo_prompts_are_held_out_and_a_third_of_them_have_text_to_render() -> None:
    scenes = demo_scenes(24)
    assert len({caption_of(scene) for scene in scenes}) == 24
    assert all(is_held_out(scene) for scene in scenes)
    assert sum(scene.sign is not None for scene in scenes) == 8


def test_the_demo_prompts_are_the_same_every_time() -> None:
    assert demo_scenes() == demo_scenes()


def test_the_demo_prompts_show_everything_there_is_and_every_kind_at_once() -> None:
    scenes = demo_scenes()
    assert {kind_of(scene) for scene in scenes[:4]} == set(KINDS)
    assert {scene.place for scene in scenes} == {*POSITIONS, *RELATIONS, *COUNTS, ""}
    assert {thing.shape for scene in scenes for thing in scene.objects} == set(SHAPES)
    words = [scene.sign.text for scene in scenes if scene.sign]
    assert len(set(words)) == len(words)


@pytest.mark.parametrize("count", [1, 2, 3, 12, 60])
def test_there_are_as_many_demo_prompts_as_asked_for(count: int) -> None:
    captions = [caption_of(scene) for scene in demo_scenes(count)]
    assert len(set(captions)) == len(captions) == count

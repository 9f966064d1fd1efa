"""Pictures read without a caption: the sentence that describes them, and what stands in them."""

import numpy as np
import pytest

from generation.scenes import Scene, Seen, Sign, caption_of, draw, parse_caption, read
from generation.scenes.checker.blobs import components
from generation.scenes.grammar import pair
from generation.scenes.vocabulary import COLOURS, HELD_OUT_WORDS, LETTERS, RELATIONS, TRAINING_WORDS
from tests.generation.scenes.spoiling import random_scenes, spoiled, varied

_OPPOSITE = {"right of": "left of", "below": "above"}


def from_the_left_or_top(scene: Scene) -> str:
    """The scene's caption; of the two for a pair, the one that `read` gives."""
    if scene.place not in _OPPOSITE:
        return caption_of(scene)
    first, second = ((thing.colour, thing.shape) for thing in scene.objects)
    return caption_of(pair(first=second, relation=_OPPOSITE[scene.place], second=first, background=scene.background))


def share_captioned(scenes: list[Scene], pictures: list[np.ndarray]) -> float:
    captions = [read(picture).caption for picture in pictures]
    return float(np.mean([said == from_the_left_or_top(scene) for said, scene in zip(captions, scenes, strict=True)]))


def test_captions_become_pictures_and_pictures_captions() -> None:
    scenes = random_scenes(400, seed=21)
    of_clean, of_spoiled = share_captioned(scenes, varied(scenes)), share_captioned(scenes, spoiled(scenes))
    print(f"whole caption read: {of_clean:.1%} of clean pictures, {of_spoiled:.1%} with noise and blur")
    assert of_clean >= 0.99
    assert of_spoiled >= 0.97


@pytest.mark.parametrize("relation", RELATIONS)
def test_both_ways_to_say_a_pair_are_read_as_one(relation: str) -> None:
    scene = parse_caption(f"a red star {relation} a green cross on a white background")
    assert read(draw(scene)).caption == from_the_left_or_top(scene)


@pytest.mark.parametrize("word", [*LETTERS, *TRAINING_WORDS, *HELD_OUT_WORDS, "OQ", "MWNH", "IIII"])
def test_every_letter_and_word_is_read_in_black_and_in_white(word: str) -> None:
    for board, background in (("yellow", "red"), ("blue", "white")):
        scene = Scene(background, sign=Sign(board, word))
        assert read(draw(scene)) == Seen(background=background, things=(), board=board, word=word)


def test_every_pair_of_colours_is_told_apart() -> None:
    for background in COLOURS:
        for colour in set(COLOURS) - {background}:
            seen = read(draw(parse_caption(caption_of_ring(colour, background)), rng=np.random.default_rng(3)))
            assert (seen.background, seen.counts) == (background, {(colour, "ring"): 1})


def caption_of_ring(colour: str, background: str) -> str:
    one, ground = (f"an {name}" if name == "orange" else f"a {name}" for name in (colour, background))
    return f"{one} ring in the centre on {ground} background"


def test_what_no_caption_describes_has_no_caption_but_is_read() -> None:
    picture = draw(parse_caption("three red circles on a white background")).copy()
    picture[:, :32] = draw(parse_caption("three blue circles on a white background"))[:, :32]
    seen = read(picture)
    assert seen.caption is None
    assert {thing.colour for thing in seen.things} == {"red", "blue"}


def test_a_flat_picture_and_an_empty_board_have_no_caption() -> None:
    assert read(np.full((64, 64, 3), 245, dtype=np.uint8)) == Seen(background="white", things=(), board=None, word="")
    board = draw(Scene("red", sign=Sign("yellow", "I"))).copy()
    board[18:47, 4:60] = board[19, 5]
    assert read(board) == Seen(background="red", things=(), board="yellow", word="")
    assert read(board).caption is None


def test_connected_regions_are_those_of_a_plain_flood_fill() -> None:
    rng = np.random.default_rng(2)
    for share in (0.3, 0.5, 0.6, 0.7):
        mask = rng.random((40, 50)) < share
        found = {region.tobytes() for region in components(mask, smallest=3)}
        assert found == {region.tobytes() for region in flood_filled(mask) if region.sum() >= 3}


def flood_filled(mask: np.ndarray) -> list[np.ndarray]:
    left = {(int(row), int(column)) for row, column in zip(*np.nonzero(mask), strict=True)}
    regions = []
    while left:
        region, edge = np.zeros_like(mask), [left.pop()]
        while edge:
            row, column = edge.pop()
            region[row, column] = True
            near = {(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)} & left
            left -= near
            edge += near
        regions.append(region)
    return regions

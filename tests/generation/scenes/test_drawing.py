"""Pictures of scenes: what is where, in which colour, and that the same scene gives the same pixels."""

import itertools

import numpy as np
import pytest

from generation.scenes import Scene, Sign, caption_of, draw, random_scene
from generation.scenes.checker.blobs import components
from generation.scenes.drawing import RADII, letters_mask, outline, text_colour
from generation.scenes.grammar import SceneObject, pair, several, single
from generation.scenes.vocabulary import (
    COLOURS,
    COUNTS,
    GLYPHS,
    LETTERS,
    POSITIONS,
    RELATIONS,
    SHAPES,
    TRAINING_WORDS,
)

CIRCLE = single(colour="red", shape="circle", position="in the centre", background="white")
STOP = Scene("blue", sign=Sign("yellow", "STOP"))


def colour_at(picture: np.ndarray, x: float, y: float) -> tuple[int, ...]:
    height, width, _ = picture.shape
    return tuple(int(value) for value in picture[int(y * height), int(x * width)])


def inside(shape: str, place: tuple[float, float], *, count: int = 1) -> tuple[float, float]:
    """A point that the shape covers: its centre, and of a ring, which has none, a point of its right side."""
    x, y = place
    return (x + 0.86 * RADII[count], y) if shape == "ring" else (x, y)


@pytest.mark.parametrize("size", [32, 64, 128])
@pytest.mark.parametrize("scene", [CIRCLE, STOP], ids=["object", "sign"])
def test_a_picture_is_an_array_of_bytes(scene: Scene, size: int) -> None:
    picture = draw(scene, size=size)
    assert picture.shape == (size, size, 3)
    assert picture.dtype == np.uint8


@pytest.mark.parametrize("scene", [CIRCLE, STOP], ids=["object", "sign"])
def test_without_a_random_generator_the_picture_is_always_the_same(scene: Scene) -> None:
    assert np.array_equal(draw(scene), draw(scene))


@pytest.mark.parametrize("scene", [CIRCLE, STOP], ids=["object", "sign"])
def test_a_random_generator_varies_the_picture_and_its_seed_repeats_it(scene: Scene) -> None:
    first, again, other = (draw(scene, rng=np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, draw(scene))


@pytest.mark.parametrize(("shape", "position"), list(itertools.product(SHAPES, POSITIONS)))
def test_a_single_object_is_at_its_place_in_its_colour(shape: str, position: str) -> None:
    for colour, background in itertools.permutations(COLOURS, 2):
        picture = draw(single(colour=colour, shape=shape, position=position, background=background))
        assert colour_at(picture, *inside(shape, POSITIONS[position])) == COLOURS[colour]
        elsewhere = [place for name, place in POSITIONS.items() if name not in (position, "in the centre")]
        if position != "in the centre":
            assert {colour_at(picture, *place) for place in elsewhere} == {COLOURS[background]}
        assert {colour_at(picture, x, y) for x in (0, 0.99) for y in (0, 0.99)} == {COLOURS[background]}


@pytest.mark.parametrize(("relation", "shapes"), list(itertools.product(RELATIONS, itertools.permutations(SHAPES, 2))))
def test_two_objects_are_at_their_places_and_do_not_touch(relation: str, shapes: tuple[str, str]) -> None:
    scene = pair(first=("red", shapes[0]), relation=relation, second=("green", shapes[1]), background="white")
    picture = draw(scene)
    first, second = RELATIONS[relation]
    assert colour_at(picture, *inside(shapes[0], first, count=2)) == COLOURS["red"]
    assert colour_at(picture, *inside(shapes[1], second, count=2)) == COLOURS["green"]
    is_background = (picture == COLOURS["white"]).all(axis=2)
    lines = is_background.all(axis=1 if relation in ("above", "below") else 0)
    assert lines[24:40].any()


@pytest.mark.parametrize("shape", SHAPES)
def test_a_varied_object_still_covers_its_place_in_about_its_colour(shape: str) -> None:
    for seed, (name, place) in itertools.product(range(20), POSITIONS.items()):
        scene = single(colour="purple", shape=shape, position=name, background="yellow")
        picture = draw(scene, rng=np.random.default_rng(seed))
        distance = np.abs(np.subtract(colour_at(picture, *inside(shape, place)), COLOURS["purple"]))
        assert distance.max() <= 6


def test_shapes_look_different() -> None:
    pictures = {shape: draw(Scene("white", (SceneObject("black", shape, 0.5, 0.5),))) for shape in SHAPES}
    for one, other in itertools.combinations(SHAPES, 2):
        different = (pictures[one] != pictures[other]).any(axis=2).sum()
        assert different > 60, (one, other)


def test_an_unknown_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown shape 'blob'"):
        outline("blob", x=0, y=0, radius=1)


@pytest.mark.parametrize("text", ["I", "GO", "CAT", "STOP"])
@pytest.mark.parametrize("scale", [1, 2, 3])
def test_letters_are_5_by_7_of_one_size_whatever_the_word(text: str, scale: int) -> None:
    mask = letters_mask(text, size=64 * scale)
    assert mask.dtype == bool
    assert mask.shape == (21 * scale, (13 * len(text) - 3) * scale)
    for index, letter in enumerate(text):
        columns = slice(13 * index * scale, (13 * index + 10) * scale, 2 * scale)
        assert np.array_equal(mask[:: 3 * scale, columns], GLYPHS[letter])


@pytest.mark.parametrize("text", ["I", "ON", "CAT", "MOON", "WIND"])
def test_a_sign_has_two_colours_because_letters_lie_on_whole_pixels(text: str) -> None:
    for board, background in itertools.permutations(COLOURS, 2):
        picture = draw(Scene(background, sign=Sign(board, text)))
        colours = {tuple(pixel) for pixel in picture[17:48, 3:61].reshape(-1, 3).tolist()}
        assert colours == {COLOURS[board], COLOURS[text_colour(board)]}
        assert (picture[17:48, 3:61] == COLOURS[text_colour(board)]).all(axis=2).sum() == letters_mask(text).sum()


def test_a_sign_that_is_moved_moves_by_whole_pixels() -> None:
    for seed in range(20):
        picture = draw(Scene("blue", sign=Sign("white", "MOON")), rng=np.random.default_rng(seed))
        assert len({tuple(pixel) for pixel in picture.reshape(-1, 3).tolist()}) == 3


def test_what_objects_cover_by_more_than_half_never_touches_in_2000_scenes() -> None:
    """Of two large stars side by side the faint tips may meet, about once in a thousand scenes; more never does."""
    rng, drawn, touching_tips = np.random.default_rng(12), 0, 0
    while drawn < 2000:
        scene = random_scene(rng)
        if scene.sign is not None:
            continue
        drawn += 1
        picture = draw(scene, rng=rng).astype(float)
        ground = picture[0, 0]
        away = np.linalg.norm(picture - ground, axis=2)
        least = min(float(np.linalg.norm(COLOURS[thing.colour] - ground)) for thing in scene.objects)
        # Tips of stars that are cut off from their star are not counted.
        assert len(components(away > 0.6 * least, smallest=20)) == len(scene.objects), caption_of(scene)
        touching_tips += len(components(away > 0, smallest=1)) != len(scene.objects)
    print(f"faint tips meet in {touching_tips} of {drawn}")
    assert touching_tips <= 0.003 * drawn


def test_the_corners_show_the_background_in_2000_scenes() -> None:
    rng = np.random.default_rng(13)
    for _ in range(2000):
        scene = random_scene(rng)
        picture = draw(scene, rng=rng).astype(int)
        corners = picture[np.ix_(np.r_[0:7, 57:64], np.r_[0:7, 57:64])]
        assert (corners == picture[0, 0]).all(), caption_of(scene)
        assert np.abs(picture[0, 0] - COLOURS[scene.background]).max() <= 6


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", COUNTS)
def test_several_objects_are_as_many_at_their_places_and_of_one_size(shape: str, count: str) -> None:
    picture = draw(several(count=count, colour="black", shape=shape, background="white"))
    regions = components(picture[:, :, 0] < 128, smallest=20)
    assert len(regions) == len(COUNTS[count])
    for x, y in COUNTS[count]:
        assert colour_at(picture, *inside(shape, (x, y), count=len(COUNTS[count]))) == COLOURS["black"]
    sizes = [int(region.sum()) for region in regions]
    assert max(sizes) <= 1.2 * min(sizes)  # a square of 13 pixels may be drawn as one of 14


def test_every_letter_has_a_glyph_of_its_own() -> None:
    assert "".join(GLYPHS) == LETTERS
    assert {glyph.shape for glyph in GLYPHS.values()} == {(7, 5)}
    assert len({glyph.tobytes() for glyph in GLYPHS.values()}) == 26


@pytest.mark.parametrize("text", ["I", "GO", "CAT", "MWMW"])
@pytest.mark.parametrize("board", COLOURS)
def test_a_sign_shows_its_letters_in_ink_that_stands_out(text: str, board: str) -> None:
    background = "red" if board == "blue" else "blue"
    picture = draw(Scene(background, sign=Sign(board, text))).astype(float)
    assert tuple(picture[0, 0]) == COLOURS[background]
    inside = picture[18:46, 4:60]
    ink, wood = (np.array(COLOURS[name], dtype=float) for name in (text_colour(board), board))
    # The share of ink in each pixel: letters may lie across pixels, their sum stays.
    share = ((wood - inside) @ (wood - ink)) / ((wood - ink) @ (wood - ink))
    assert share.min() > -0.01
    assert share.sum() == pytest.approx(letters_mask(text).sum(), rel=0.02)


@pytest.mark.parametrize("text", TRAINING_WORDS)
def test_every_word_fits_on_its_board_wherever_it_is_moved(text: str) -> None:
    scene = Scene("white", sign=Sign("yellow", text))
    for seed in range(5):
        picture = draw(scene, rng=np.random.default_rng(seed))
        dark = picture.astype(int).sum(axis=2) < 350
        rows, columns = np.nonzero(dark)
        height, width = letters_mask(text).shape
        assert np.ptp(rows) + 1 <= height + 1
        assert np.ptp(columns) + 1 <= width + 1
        assert dark.sum() > 0.8 * letters_mask(text).sum()

"""The picture checker's single findings, on pictures whose content is known."""

from dataclasses import replace

import numpy as np
import pytest

from generation.scenes import Scene, check, draw, parse_caption
from generation.scenes.grammar import SceneObject
from tests.generation.scenes.spoiling import blurred, noisy, random_scenes, varied

HEARTS = parse_caption("three red hearts on a blue background")
CAT = parse_caption('a white sign that says "CAT" on a blue background')


@pytest.mark.parametrize(
    ("caption", "drawn", "wrong"),
    [
        (
            "a red circle on the left on a blue background",
            "a red circle on the left on a green background",
            {"background"},
        ),
        (
            "a red circle on the left on a blue background",
            "a white circle on the left on a blue background",
            {"colours", "shape", "place"},
        ),
        (
            "a red circle on the left on a blue background",
            "a red circle on the right on a blue background",
            {"place"},
        ),
        ("a red circle on the left on a blue background", "a red star on the left on a blue background", {"shape"}),
        ("a red circle on the left on a blue background", "a red ring on the left on a blue background", {"shape"}),
        (
            "a red star left of a green cross on a white background",
            "a red star right of a green cross on a white background",
            {"place"},
        ),
        (
            "a red star left of a green cross on a white background",
            "a red star above a green cross on a white background",
            {"place"},
        ),
        (
            "a red star left of a green cross on a white background",
            "a red cross left of a green star on a white background",
            {"shape"},
        ),
        (
            "a red star left of a green cross on a white background",
            "a red star left of a pink cross on a white background",
            {"colours", "shape", "place"},
        ),
        ("three red hearts on a blue background", "four red hearts on a blue background", {"count"}),
        ("five red hearts on a blue background", "two red hearts on a blue background", {"count"}),
        ("three red hearts on a blue background", "three red circles on a blue background", {"shape"}),
        (
            "three red hearts on a blue background",
            "three pink hearts on a blue background",
            {"colours", "count", "shape"},
        ),
        (
            'a white sign that says "CAT" on a blue background',
            'a white sign that says "CAR" on a blue background',
            {"letters", "word"},
        ),
        (
            'a white sign that says "CAT" on a blue background',
            'a pink sign that says "CAT" on a blue background',
            {"colours"},
        ),
    ],
)
def test_one_difference_is_reported_with_what_hangs_on_it_and_nothing_else(
    caption: str, drawn: str, wrong: set[str]
) -> None:
    scene = parse_caption(caption)
    assert all(check(draw(scene), scene).verdicts().values())
    verdicts = check(draw(parse_caption(drawn)), scene).verdicts()
    assert {name for name, is_right in verdicts.items() if not is_right} == wrong


@pytest.mark.parametrize(
    ("caption", "named"),
    [
        ("a red circle on the left on a blue background", {"place", "shape"}),
        ("a red star left of a green cross on a white background", {"place", "shape"}),
        ("three red hearts on a blue background", {"count", "shape"}),
        ('a white sign that says "CAT" on a blue background', {"letters", "word"}),
    ],
)
def test_only_what_the_caption_names_is_judged(caption: str, named: set[str]) -> None:
    scene = parse_caption(caption)
    found = check(draw(scene), scene)
    assert set(found.verdicts()) == {"background", "colours"} | named
    for name in {"shape", "place", "count", "letters", "word"} - named:
        assert getattr(found, name) is None


def test_one_wrong_letter_of_three_costs_a_third() -> None:
    found = check(draw(parse_caption('a white sign that says "CAR" on a blue background')), CAT)
    assert found.letters == pytest.approx(2 / 3)
    assert found.word == 0


def test_a_word_with_a_letter_more_has_the_letters_but_is_not_the_word() -> None:
    scene = parse_caption('a white sign that says "AT" on a blue background')
    found = check(draw(parse_caption('a white sign that says "RATS" on a blue background')), scene)
    assert (found.letters, found.word) == (1, 0)


def test_one_too_many_and_one_missing_are_half_as_bad_as_two() -> None:
    def count(number: str) -> float | None:
        return check(draw(parse_caption(f"{number} red hearts on a blue background")), HEARTS).count

    assert [count(number) for number in ("two", "three", "four", "five")] == [0.5, 1, 0.5, 0]


def test_one_wrong_shape_among_several_is_not_the_shape() -> None:
    first, *rest = HEARTS.objects
    mixed = replace(HEARTS, objects=(replace(first, shape="square"), *rest))
    found = check(draw(mixed), HEARTS)
    assert (found.count_is_right, found.shape_is_right) == (True, False)
    whole = check(draw(HEARTS), HEARTS).shape
    assert found.shape is not None and whole is not None
    assert 0.6 < found.shape < whole


def test_two_things_of_one_colour_are_told_apart_by_their_shapes() -> None:
    scene = parse_caption("a red star left of a red cross on a white background")
    assert all(check(draw(scene), scene).verdicts().values())
    other = parse_caption("a red cross left of a red star on a white background")
    assert check(draw(other), scene).place_is_right is False


def test_a_thing_beside_all_positions_is_at_none() -> None:
    scene = parse_caption("a red circle on the left on a blue background")
    astray = Scene("blue", (SceneObject("red", "circle", 0.28, 0.28),), place="on the left")
    found = check(draw(astray), scene)
    assert found.place is not None
    assert found.place < 0.6
    assert found.shape_is_right


@pytest.mark.parametrize("size", [32, 128, 256])
def test_pictures_of_other_sizes_are_measured_too(size: int) -> None:
    scene = parse_caption("a yellow diamond at the top on a purple background")
    found = check(draw(scene, size=size), scene)
    assert (found.background, found.colours, found.place) == (1, 1, 1)


def test_purer_colours_score_higher() -> None:
    scene = parse_caption("a red circle on the left on a blue background")
    picture = draw(scene)
    pale = np.clip(picture * 0.8 + 40, 0, 255).astype(np.uint8)
    full, washed = check(picture, scene), check(pale, scene)
    assert full.colours == full.background == 1
    assert 0.5 < washed.colours < 1
    assert 0.5 < washed.background < 1


def test_noise_and_blur_lower_the_cleanliness() -> None:
    scenes, rng = random_scenes(100), np.random.default_rng(7)
    clean = varied(scenes)
    before = np.mean([check(p, s).cleanliness for p, s in zip(clean, scenes, strict=True)])
    with_noise = [noisy(p, sd=18, rng=rng) for p in clean]
    with_blur = [blurred(p, radius=0.8) for p in clean]
    for spoiled in (with_noise, with_blur):
        assert np.mean([check(p, s).cleanliness for p, s in zip(spoiled, scenes, strict=True)]) < before - 0.05


def test_a_grey_wall_is_a_background_and_nothing_else() -> None:
    wall = np.full((64, 64, 3), 132, dtype=np.uint8)
    for scene in random_scenes(60):
        verdicts = check(wall, scene).verdicts()
        assert verdicts.pop("background") is (scene.background == "grey")
        assert not any(verdicts.values())


@pytest.mark.parametrize(
    "picture",
    [np.zeros((64, 64, 3)), np.zeros((64, 64), dtype=np.uint8), np.zeros((64, 64, 4), dtype=np.uint8)],
    ids=["float", "grey", "alpha"],
)
def test_anything_but_rgb_bytes_is_refused(picture: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"a picture is a uint8 array of shape \(h, w, 3\), not "):
        check(picture, CAT)

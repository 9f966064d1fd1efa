"""The picture checker against pictures whose content is known."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from generation.scenes import Findings, Scene, check, draw, parse_caption, random_scene

COUNT = 150


def scenes(seed: int = 5) -> list[Scene]:
    rng = np.random.default_rng(seed)
    return [random_scene(rng) for _ in range(COUNT)]


def pictures(of: list[Scene]) -> list[np.ndarray]:
    rng = np.random.default_rng(6)
    return [draw(scene, rng=rng) for scene in of]


def share_right(findings: list[Findings]) -> float:
    """Share of the attributes found as described."""
    marks = [mark for f in findings for mark in (f.background > 0, f.colours > 0, f.place > 0.9, f.shape > 0.8)]
    marks += [f.letters == 1 for f in findings if f.letters is not None]
    return float(np.mean(marks))


def test_varied_drawings_are_recognised() -> None:
    of = scenes()
    assert share_right([check(p, s) for p, s in zip(pictures(of), of, strict=True)]) >= 0.99


def test_noise_and_blur_do_not_hide_the_content_but_lower_the_cleanliness() -> None:
    of, rng = scenes(), np.random.default_rng(7)
    clean = pictures(of)
    noisy = [np.clip(p + rng.normal(0, 18, p.shape), 0, 255).astype(np.uint8) for p in clean]
    blurred = [np.asarray(Image.fromarray(p).filter(ImageFilter.GaussianBlur(0.8))) for p in clean]
    for spoiled in (noisy, blurred):
        findings = [check(p, s) for p, s in zip(spoiled, of, strict=True)]
        assert share_right(findings) >= 0.97
        before = [check(p, s).cleanliness for p, s in zip(clean, of, strict=True)]
        assert np.mean([f.cleanliness for f in findings]) < np.mean(before) - 0.05


@pytest.mark.parametrize("kind", ["noise", "grey"])
def test_pictures_of_nothing_show_nothing(kind: str) -> None:
    rng = np.random.default_rng(8)
    for scene in scenes():
        picture = rng.integers(0, 256, (64, 64, 3)) if kind == "noise" else np.full((64, 64, 3), 128)
        found = check(picture.astype(np.uint8), scene)
        assert (found.background, found.colours, found.place, found.shape, found.letters or 0) == (0, 0, 0, 0, 0)


def test_a_picture_of_another_caption_is_mostly_wrong() -> None:
    of = scenes()
    findings = [check(p, s) for p, s in zip(pictures(of), of[1:] + of[:1], strict=True)]
    assert share_right(findings) < 0.15


@pytest.mark.parametrize(
    ("caption", "drawn", "attribute"),
    [
        (
            "a red circle on the left on a blue background",
            "a red circle on the left on a green background",
            "background",
        ),
        ("a red circle on the left on a blue background", "a white circle on the left on a blue background", "colours"),
        ("a red circle on the left on a blue background", "a red circle on the right on a blue background", "place"),
        ("a red circle on the left on a blue background", "a red star on the left on a blue background", "shape"),
        (
            'a white sign that says "CAT" on a blue background',
            'a white sign that says "CAR" on a blue background',
            "letters",
        ),
        (
            "a red star left of a green cross on a white background",
            "a red star right of a green cross on a white background",
            "place",
        ),
    ],
)
def test_one_wrong_attribute_is_the_one_that_is_reported(caption: str, drawn: str, attribute: str) -> None:
    right = check(draw(parse_caption(caption)), parse_caption(caption))
    wrong = check(draw(parse_caption(drawn)), parse_caption(caption))
    assert getattr(right, attribute) > 0.9
    assert getattr(wrong, attribute) < 0.7


def test_one_wrong_letter_of_three_costs_a_third() -> None:
    scene = parse_caption('a white sign that says "CAT" on a blue background')
    picture = draw(parse_caption('a white sign that says "CAR" on a blue background'))
    assert check(picture, scene).letters == pytest.approx(2 / 3)


def test_larger_pictures_are_measured_like_small_ones() -> None:
    scene = parse_caption("a yellow diamond at the top on a purple background")
    found = check(draw(scene, size=256), scene)
    assert (found.background, found.colours, found.place) == (1, 1, 1)
    assert found.shape > 0.9


def test_anything_but_rgb_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"uint8 array of shape \(h, w, 3\), not float64 \(64, 64, 3\)"):
        check(np.zeros((64, 64, 3)), scenes()[0])

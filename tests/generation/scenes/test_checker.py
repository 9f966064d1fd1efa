"""The picture checker against pictures whose content is known."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from generation.scenes import Findings, Scene, check, draw, parse_caption, random_scene

COUNT = 400


def scenes(seed: int = 5) -> list[Scene]:
    rng = np.random.default_rng(seed)
    return [random_scene(rng) for _ in range(COUNT)]


def pictures(of: list[Scene]) -> list[np.ndarray]:
    rng = np.random.default_rng(6)
    return [draw(scene, rng=rng) for scene in of]


def shares_right(findings: list[Findings]) -> dict[str, float]:
    """Share of the captions that name an attribute in which it is found as described."""
    verdicts = [found.verdicts() for found in findings]
    names = {name for some in verdicts for name in some}
    return {name: float(np.mean([some[name] for some in verdicts if name in some])) for name in sorted(names)}


def test_varied_drawings_with_noise_and_blur_are_read_right_in_every_attribute() -> None:
    of, rng = scenes(), np.random.default_rng(7)
    spoiled = []
    for picture in pictures(of):
        blurred = Image.fromarray(picture).filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.7)))
        noisy = np.asarray(blurred) + rng.normal(0, rng.uniform(0, 12), picture.shape)
        spoiled.append(np.clip(noisy, 0, 255).astype(np.uint8))
    shares = shares_right([check(p, s) for p, s in zip(spoiled, of, strict=True)])
    print(shares)
    assert set(shares) == {"background", "colours", "count", "letters", "place", "shape", "word"}
    assert min(shares.values()) >= 0.99


def test_noise_and_blur_lower_the_cleanliness() -> None:
    of, rng = scenes(), np.random.default_rng(7)
    clean = pictures(of)
    noisy = [np.clip(p + rng.normal(0, 18, p.shape), 0, 255).astype(np.uint8) for p in clean]
    blurred = [np.asarray(Image.fromarray(p).filter(ImageFilter.GaussianBlur(0.8))) for p in clean]
    before = np.mean([check(p, s).cleanliness for p, s in zip(clean, of, strict=True)])
    for spoiled in (noisy, blurred):
        assert np.mean([check(p, s).cleanliness for p, s in zip(spoiled, of, strict=True)]) < before - 0.05


@pytest.mark.parametrize("kind", ["noise", "grey"])
def test_pictures_of_nothing_show_nothing(kind: str) -> None:
    rng = np.random.default_rng(8)
    for scene in scenes():
        picture = rng.integers(0, 256, (64, 64, 3)) if kind == "noise" else np.full((64, 64, 3), 128)
        # A grey wall has a background; nothing stands before it.
        verdicts = check(picture.astype(np.uint8), scene).verdicts()
        if kind == "grey" and scene.background == "grey":
            verdicts.pop("background")
        assert not any(verdicts.values()), scene


def test_what_another_caption_names_differently_is_absent() -> None:
    of, said = scenes(), []
    for picture, scene, wanted in zip(pictures(of), of, of[1:] + of[:1], strict=True):
        is_shown = check(picture, scene).verdicts()
        if scene.background != wanted.background:
            said.append(check(picture, wanted).verdicts()["background"])
        if {t.colour for t in scene.objects} & {t.colour for t in wanted.objects} or scene.sign or wanted.sign:
            continue
        said += [verdict for name, verdict in check(picture, wanted).verdicts().items() if name != "background"]
        assert is_shown["colours"]
    assert len(said) > 150
    assert np.mean(said) <= 0.05


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
        ("three red hearts on a blue background", "four red hearts on a blue background", "count"),
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
    assert found.shape is not None
    assert found.shape > 0.9


def test_anything_but_rgb_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"uint8 array of shape \(h, w, 3\), not float64 \(64, 64, 3\)"):
        check(np.zeros((64, 64, 3)), scenes()[0])

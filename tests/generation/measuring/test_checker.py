"""The picture checker as a metric, on scenes that are drawn and then spoiled in known ways."""

from pathlib import Path

import numpy as np
import pytest

from generation.measuring import checker
from generation.measuring.rows import Measured
from generation.models import Image, Metric
from generation.scenes import draw, parse_caption
from tests.generation.measuring.pictures import make_image

pytestmark = pytest.mark.django_db

CAPTIONS = (
    "a red circle in the centre on a white background",
    "a blue square left of a green circle on a white background",
    "three yellow circles on a black background",
    'a white sign that says "CAT" on a blue background',
)


def ignore(progress: Measured) -> None:
    """Nobody watches."""


def drawn(caption: str) -> np.ndarray:
    return draw(parse_caption(caption))


def values_of(image: Image) -> dict[str, float]:
    return dict(Metric.objects.filter(image=image).values_list("name", "value"))


@pytest.mark.parametrize(
    ("caption", "parts"),
    [
        (CAPTIONS[0], {"colours", "shape", "place", "background"}),
        (CAPTIONS[1], {"colours", "shape", "place", "background"}),
        (CAPTIONS[2], {"colours", "shape", "count", "background"}),
        (CAPTIONS[3], {"colours", "letters", "background"}),
    ],
)
def test_a_picture_of_its_caption_has_all_that_is_named(caption: str, parts: set[str], image_folder: Path) -> None:
    image = make_image(caption, drawn(caption))
    assert checker.measure(Image.objects.all(), texts=[caption], watch=ignore) == Measured(1, 1)
    assert values_of(image) == {"checker": 1, **{f"checker_{part}": 1 for part in parts}}
    assert set(Metric.objects.values_list("source", flat=True)) == {"picture checker 1"}


def test_what_is_wrong_costs_its_own_part_and_its_share_of_the_whole(image_folder: Path) -> None:
    blue, elsewhere = (
        "a blue circle in the centre on a white background",
        "a red circle in the centre on a green background",
    )
    wrong_colour = make_image(CAPTIONS[0], drawn(blue))
    wrong_background = make_image(CAPTIONS[0], drawn(elsewhere), sample=1)
    misspelled = make_image(CAPTIONS[3], drawn(CAPTIONS[3].replace("CAT", "CAR")))
    checker.measure(Image.objects.all(), texts=CAPTIONS, watch=ignore)
    assert values_of(wrong_colour)["checker_colours"] == 0
    assert values_of(wrong_background) == {
        "checker": 0.75,
        "checker_colours": 1,
        "checker_shape": 1,
        "checker_place": 1,
        "checker_background": 0,
    }
    assert values_of(misspelled)["checker_letters"] == pytest.approx(2 / 3)
    assert values_of(misspelled)["checker"] == pytest.approx((1 + 2 / 3 + 1) / 3)


def test_prompts_that_are_no_captions_and_images_in_quarantine_are_left_alone(image_folder: Path) -> None:
    other, held = (
        make_image("an oil painting of a cat", drawn(CAPTIONS[0])),
        make_image(CAPTIONS[0], drawn(CAPTIONS[0])),
    )
    Image.objects.filter(pk=held.pk).update(is_quarantined=True)
    texts = [other.prompt_text, held.prompt_text]
    assert checker.readable(texts) == [CAPTIONS[0]]
    assert checker.measure_for(Image.objects.all(), texts=texts, seconds=60) == 0
    assert not Metric.objects.exists()


def test_only_what_is_missing_is_measured_and_an_interruption_keeps_the_rest(image_folder: Path) -> None:
    for sample in range(20):
        make_image(CAPTIONS[0], drawn(CAPTIONS[0]), sample=sample)
    seen: list[Measured] = []

    def interrupt(progress: Measured) -> None:
        seen.append(progress)
        if progress.done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        checker.measure(Image.objects.all(), texts=CAPTIONS, watch=interrupt)
    assert seen == [Measured(0, 20), Measured(8, 20)]
    before = set(Metric.objects.values_list("pk", flat=True))
    assert checker.measure_for(Image.objects.all(), texts=CAPTIONS, seconds=60) == 12
    assert Metric.objects.filter(name="checker").count() == 20
    assert before < set(Metric.objects.values_list("pk", flat=True))
    assert checker.measure_for(Image.objects.all(), texts=CAPTIONS, seconds=60) == 0


def test_without_time_one_batch_is_measured_at_most(image_folder: Path) -> None:
    for sample in range(10):
        make_image(CAPTIONS[0], drawn(CAPTIONS[0]), sample=sample)
    assert checker.measure_for(Image.objects.all(), texts=CAPTIONS, seconds=-1) == 0
    assert not Metric.objects.exists()


def test_a_file_that_is_gone_is_told_and_the_others_are_measured(image_folder: Path) -> None:
    first, second = (make_image(CAPTIONS[0], drawn(CAPTIONS[0]), sample=sample) for sample in (0, 1))
    Image.objects.filter(pk=first.pk).update(file_sha256="0" * 64)
    found = checker.measure(Image.objects.all(), texts=CAPTIONS, watch=ignore)
    assert (found.done, found.wanted, len(found.problems)) == (1, 2, 1)
    assert "is not in the image store" in found.problems[0]
    assert values_of(second)["checker"] == 1

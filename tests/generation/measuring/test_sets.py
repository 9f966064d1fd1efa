"""Numbers about whole recipes: what is stored, when it is measured again, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pictures

from generation.errors import GenerationError
from generation.measuring import clip, sets
from generation.measuring.distances import frechet_distance, precision_recall
from generation.measuring.rows import Measured
from generation.models import Metric
from tests.generation.measuring.pictures import make_image
from tests.generation.measuring.test_clip import ignore, noise
from tests.generation.rows import make_recipe

pytestmark = pytest.mark.django_db


def folder_of_pictures(folder: Path, count: int, *, first: int = 100) -> Path:
    folder.mkdir()
    for number in range(count):
        Pictures.fromarray(noise(first + number)).save(folder / f"{number}.png")
    return folder


def test_a_recipe_is_compared_with_a_folder_and_again_only_when_its_images_change(
    clip_root: Path, image_folder: Path, tmp_path: Path
) -> None:
    recipe, loaded = make_recipe(), clip.load(clip.Weights.told("tiny-clip"))
    for seed in range(5):
        make_image("any", noise(seed), sample=seed, recipe=recipe)
    reference = sets.set_of_folder(folder_of_pictures(tmp_path / "real", 6))
    measuring = sets.SetMeasuring(sets.NAMES, loaded, reference)

    def measure() -> bool:
        return sets.measure_recipe(recipe, sets.set_of_recipe(recipe), measuring, watch=ignore)

    assert measure() is True
    made = loaded.clip.image_features([Pictures.fromarray(noise(seed)) for seed in range(5)])
    real = loaded.clip.image_features([Pictures.fromarray(noise(100 + number)) for number in range(6)])
    values = dict(Metric.objects.filter(recipe=recipe).values_list("name", "value"))
    assert values["clip_fd"] == pytest.approx(frechet_distance(made, real), rel=1e-3)
    both = precision_recall(made, real)
    assert (values["clip_precision"], values["clip_recall"]) == (both.precision, both.recall)
    assert set(values) == set(sets.NAMES)
    (source,) = set(Metric.objects.values_list("source", flat=True))
    assert source.startswith(f"{loaded.source}, against folder real (")

    assert measure() is False
    make_image("any", noise(50), sample=50, recipe=recipe)
    assert measure() is True
    again = dict(Metric.objects.filter(recipe=recipe).values_list("name", "value"))
    assert set(again) == set(values) and again["clip_fd"] != values["clip_fd"]


def test_equal_sets_lie_at_nought_with_full_precision_and_recall(clip_root: Path, tmp_path: Path) -> None:
    pictures = sets.set_of_folder(folder_of_pictures(tmp_path / "one", 6))
    seen: list[Measured] = []
    features = sets.features_of(pictures, clip.load(clip.Weights.told("tiny-clip")), watch=seen.append)
    assert seen == [Measured(0, 6), Measured(6, 6)]
    found = sets.compare(features, features, names=sets.NAMES)
    assert found == pytest.approx({"clip_fd": 0, "cmmd": 0, "clip_precision": 1, "clip_recall": 1}, abs=1e-6)


def test_what_is_no_set_of_pictures_is_refused(clip_root: Path, image_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(GenerationError, match="is no folder"):
        sets.set_of_folder(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(GenerationError, match="There is no PNG, JPEG or WebP image in"):
        sets.set_of_folder(tmp_path / "empty")
    broken = folder_of_pictures(tmp_path / "broken", 2)
    (broken / "1.png").write_bytes(b"no picture")
    loaded = clip.load(clip.Weights.told("tiny-clip"))
    with pytest.raises(GenerationError, match=r"1\.png is no picture"):
        sets.features_of(sets.set_of_folder(broken), loaded, watch=ignore)
    few = np.zeros((2, 3))
    with pytest.raises(GenerationError, match="at least 4 images a side are needed, there are 2 and 2"):
        sets.compare(few, few, names=("clip_recall",))
    recipe = make_recipe()
    whole = sets.SetMeasuring(("clip_fd",), loaded, sets.set_of_folder(folder_of_pictures(tmp_path / "real", 2)))
    with pytest.raises(GenerationError, match="has no images yet"):
        sets.measure_recipe(recipe, sets.set_of_recipe(recipe), whole, watch=ignore)

"""CLIP scores by a tiny CLIP that was really saved and loaded, against the formula written out with transformers."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.conf import settings as django_settings
from PIL import Image as Pictures
from pytest_django.fixtures import Settings

from generation.errors import GenerationError
from generation.measuring import clip
from generation.measuring.rows import Measured
from generation.models import Image, Metric
from tests.generation.measuring.pictures import make_image
from tests.generation.tiny_clip import save_clip

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TEXTS = ("a red circle in the centre on a white background", "two blue squares on a black background")


def ignore(progress: Measured) -> None:
    """Nobody watches."""


def noise(seed: int, *, height: int = 64, width: int = 48) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, size=(height, width, 3), dtype=np.uint8)


def by_hand(folder: Path, pixels: np.ndarray, text: str) -> float:
    """100 * max(cos, 0) from the model's own logits, which are cosines times a scale."""
    import torch
    import transformers

    model = transformers.CLIPModel.from_pretrained(folder)
    tokens = transformers.CLIPTokenizer.from_pretrained(folder)([text], return_tensors="pt")
    processor = transformers.CLIPImageProcessorPil.from_pretrained(folder)
    with torch.no_grad():
        found = model(**tokens, **processor(images=[Pictures.fromarray(pixels)], return_tensors="pt"))
        cosine = float(found.logits_per_image[0, 0] / model.logit_scale.exp())
    return 100 * max(cosine, 0.0)


@pytest.mark.django_db
def test_the_score_is_a_hundred_times_the_cosine_of_picture_and_prompt(clip_root: Path, image_folder: Path) -> None:
    images = [make_image(text, noise(seed), sample=seed) for seed in range(4) for text in TEXTS]
    loaded = clip.load(clip.Weights.told("tiny-clip"))
    assert clip.measure_scores(Image.objects.all(), loaded, watch=ignore) == Measured(8, 8)
    values = dict(Metric.objects.filter(name="clip_score", source=loaded.source).values_list("image", "value"))
    wanted = {image.pk: by_hand(clip_root / "tiny-clip", noise(image.sample), image.prompt_text) for image in images}
    assert values == pytest.approx(wanted, abs=1e-4)
    assert len({round(value, 3) for value in values.values() if value}) > 1


@pytest.mark.django_db
def test_only_images_without_a_score_by_these_weights_are_measured(
    clip_folder: Path, tmp_path: Path, settings: Settings, image_folder: Path
) -> None:
    settings.MODELS_ROOT = tmp_path
    shutil.copytree(clip_folder, tmp_path / "mine")
    make_image(TEXTS[0], noise(1))
    seen: list[Measured] = []
    first = clip.load(clip.Weights.told("mine"))
    clip.measure_scores(Image.objects.all(), first, watch=seen.append)
    clip.measure_scores(Image.objects.all(), clip.load(clip.Weights.told("mine")), watch=seen.append)
    assert seen == [Measured(0, 1), Measured(1, 1), Measured(1, 1)]

    save_clip(tmp_path / "mine", seed=8)
    second = clip.load(clip.Weights.told("mine"))
    assert second.source != first.source and second.source.startswith("CLIP mine (")
    clip.measure_scores(Image.objects.all(), second, watch=ignore)
    assert len(set(Metric.objects.values_list("value", flat=True))) == 2


def test_long_prompts_are_cut_and_any_size_of_picture_is_taken(clip_root: Path) -> None:
    loaded = clip.load(clip.Weights.told("tiny-clip")).clip
    long = loaded.text_features(["red " * 500, TEXTS[0]])
    assert long.shape == (2, 16) and np.isfinite(long).all()
    pictures = [Pictures.fromarray(noise(1, height=height, width=20)) for height in (7, 300)]
    assert loaded.image_features(pictures).shape == (2, 16)


def test_a_text_has_the_same_features_alone_and_in_company(clip_root: Path) -> None:
    loaded = clip.load(clip.Weights.told("tiny-clip")).clip
    together = loaded.text_features([TEXTS[0], f"{TEXTS[1]} and a very long ending that needs many more tokens"])
    assert together[0] == pytest.approx(loaded.text_features([TEXTS[0]])[0], abs=1e-5)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("openai/clip-vit-base-patch32@main", "'main' is no commit"),
        ("openai/clip-vit-base-patch32@" + COMMIT[:39], "give all 40 hex digits"),
        ("clip@" + COMMIT, "'clip' is no hub repository"),
        ("../outside", "is no folder below the models root"),
        ("/etc", "is no folder below the models root"),
        ("openai/clip-vit-base-patch32", "A hub repository needs its commit"),
        ("nothing", "There is no folder 'nothing'"),
    ],
)
def test_weights_that_are_neither_folder_nor_pinned_repository_are_refused(
    text: str, sentence: str, clip_root: Path
) -> None:
    with pytest.raises(GenerationError, match=sentence):
        clip.load(clip.Weights.told(text))


def _without_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def _of_another_kind(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "bert"}))


def _with_a_pickle(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"pickle")


def _without_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def _with_a_part_missing(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    tensors.pop("visual_projection.weight")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def _cut_off(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[:-100])


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_without_config, "has no config.json"),
        (_of_another_kind, "of the type 'bert'"),
        (_with_a_pickle, "pytorch_model.bin is refused"),
        (_without_weights, "cannot be loaded as a CLIP"),
        (_with_a_part_missing, "lack visual_projection.weight"),
        (_cut_off, "cannot be loaded as a CLIP"),
    ],
)
def test_a_folder_that_is_no_whole_clip_is_refused_with_a_sentence(
    spoil: Any, sentence: str, clip_folder: Path, tmp_path: Path, settings: Settings
) -> None:
    settings.MODELS_ROOT = tmp_path
    shutil.copytree(clip_folder, tmp_path / "mine")
    spoil(tmp_path / "mine")
    with pytest.raises(GenerationError, match=sentence):
        clip.load(clip.Weights.told("mine"))


def test_a_pinned_repository_is_read_from_this_machines_cache(clip_folder: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "hub" / "models--lab--tiny-clip" / "snapshots" / COMMIT
    shutil.copytree(clip_folder, snapshot)
    look = (
        "from generation.measuring import clip; "
        f"print(clip.load(clip.Weights.told('lab/tiny-clip@{COMMIT}')).source); "
        "from generation.errors import GenerationError\n"
        f"try: clip.load(clip.Weights.told('lab/other@{COMMIT}'))\n"
        "except GenerationError as error: print(error)"
    )
    # Read when the hub's library is imported, so in a process of its own.
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    shown = subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", look],
        cwd=django_settings.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert shown[0] == f"CLIP lab/tiny-clip@{COMMIT}"
    assert shown[1].startswith(f"lab/other at {COMMIT} cannot be fetched (")

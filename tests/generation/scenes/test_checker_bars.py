"""How often the checker is right: on spoiled drawings, and on pictures that do not show what is asked for."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import pytest
from django.conf import settings
from PIL import Image

from generation.scenes import Findings, Scene, Sign, caption_of, check, draw, held_out_scenes, random_scene
from generation.scenes.grammar import several
from generation.scenes.vocabulary import COUNTS, LETTERS, SHAPES
from tests.generation.scenes.spoiling import random_scenes, spoiled
from tests.generation.scenes.truth import absent

ATTRIBUTES = {"background", "colours", "place", "count", "shape", "letters", "word"}
SHARP = {"shape", "count", "letters", "word"}
MOST_WRONGLY_SEEN = 0.05


def shares(verdicts: Iterable[dict[str, bool]], title: str) -> dict[str, float]:
    """Attribute -> share of the pictures in which it is seen; printed, with how many there were."""
    seen: dict[str, list[bool]] = defaultdict(list)
    for some in verdicts:
        for name, is_right in some.items():
            seen[name].append(is_right)
    print(f"{title}: " + ", ".join(f"{name} {np.mean(seen[name]):.1%} of {len(seen[name])}" for name in sorted(seen)))
    return {name: float(np.mean(some)) for name, some in seen.items()}


def only(found: Findings, names: set[str]) -> dict[str, bool]:
    return {name: is_right for name, is_right in found.verdicts().items() if name in names}


def test_spoiled_drawings_are_read_right_in_99_of_100_for_every_attribute() -> None:
    scenes = random_scenes(600)
    seen = shares(
        (check(p, s).verdicts() for p, s in zip(spoiled(scenes), scenes, strict=True)), "right on spoiled drawings"
    )
    assert set(seen) == ATTRIBUTES
    assert min(seen.values()) >= 0.99


def swapped(scenes: list[Scene], pictures: list[np.ndarray], title: str) -> dict[str, float]:
    """How often the differences are seen when each picture is held against the captions of the next three scenes."""
    return shares(
        (
            only(check(picture, asked), absent(asked, drawn=drawn))
            for turn in (1, 2, 3)
            for picture, drawn, asked in zip(pictures, scenes, scenes[turn:] + scenes[:turn], strict=True)
        ),
        title,
    )


def test_what_another_caption_names_differently_is_absent() -> None:
    scenes = random_scenes(400, seed=8)
    seen = swapped(scenes, spoiled(scenes), "wrongly seen for another caption")
    assert set(seen) == ATTRIBUTES
    assert max(seen.values()) <= MOST_WRONGLY_SEEN


def coarse(rng: np.random.Generator, *, cells: int) -> np.ndarray:
    """Noise of larger spots: `cells` by `cells` random colours with smooth transitions."""
    spots = Image.fromarray(rng.integers(0, 256, (cells, cells, 3)).astype(np.uint8))
    return np.asarray(spots.resize((64, 64), Image.Resampling.BICUBIC))


NOISES: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "uniform": lambda rng: rng.integers(0, 256, (64, 64, 3)).astype(np.uint8),
    "normal": lambda rng: np.clip(rng.normal(128, 50, (64, 64, 3)), 0, 255).astype(np.uint8),
    "faint": lambda rng: np.clip(rng.normal(128, 25, (64, 64, 3)), 0, 255).astype(np.uint8),
    "spots of two pixels": lambda rng: coarse(rng, cells=32),
    "spots of four pixels": lambda rng: coarse(rng, cells=16),
}


@pytest.mark.parametrize("kind", NOISES)
def test_pure_noise_shows_nothing(kind: str) -> None:
    rng = np.random.default_rng(9)
    seen = shares((check(NOISES[kind](rng), scene).verdicts() for scene in random_scenes(200)), f"seen in {kind} noise")
    assert set(seen) == ATTRIBUTES
    assert max(seen.values()) <= MOST_WRONGLY_SEEN


def blurred_average(scene: Scene, *, rng: np.random.Generator) -> np.ndarray:
    """What one step of a model that knows colours and places only would give: the mean over all else, of 48 drawings.

    That is over shapes and counts, and for a sign over words of the length.
    """

    def other() -> Scene:
        if scene.sign is not None:
            text = "".join(LETTERS[int(k)] for k in rng.integers(len(LETTERS), size=len(scene.sign.text)))
            return replace(scene, sign=Sign(scene.sign.colour, text))
        if scene.place in COUNTS:
            count, shape = list(COUNTS)[int(rng.integers(len(COUNTS)))], SHAPES[int(rng.integers(len(SHAPES)))]
            colour = scene.objects[0].colour
            return several(count=count, colour=colour, shape=shape, background=scene.background)
        things = (replace(thing, shape=SHAPES[int(rng.integers(len(SHAPES)))]) for thing in scene.objects)
        return replace(scene, objects=tuple(things))

    drawings = [draw(other(), rng=rng).astype(float) for _ in range(48)]
    return np.asarray(np.mean(drawings, axis=0).round().astype(np.uint8))


def test_blurred_averages_show_colours_and_places_but_no_shapes_counts_or_letters() -> None:
    scenes, rng = random_scenes(160, seed=10), np.random.default_rng(10)
    found = [check(blurred_average(scene, rng=rng), scene) for scene in scenes]
    seen = shares((some.verdicts() for some in found), "seen in blurred averages")
    assert max(seen[name] for name in SHARP) <= MOST_WRONGLY_SEEN
    assert min(seen[name] for name in ("background", "place")) >= 0.95


def one_step(captions: list[str], *, guidance: float, model: str = "tiny-sd3") -> list[np.ndarray]:
    """One step of a shipped model from pure noise, float32."""
    import torch
    from diffusers import StableDiffusion3Pipeline

    folder = settings.BASE_DIR / "generation" / "demo_models" / model
    pipeline = StableDiffusion3Pipeline.from_pretrained(
        folder, dtype=torch.float32, use_safetensors=True, local_files_only=True
    )
    pipeline.to(torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    with torch.inference_mode():
        pictures = pipeline(
            prompt=captions,
            sigmas=[1.0],
            num_inference_steps=1,
            guidance_scale=guidance,
            height=64,
            width=64,
            max_sequence_length=18,
            generator=[torch.Generator("cpu").manual_seed(k) for k in range(len(captions))],
            output_type="np",
        ).images
    return list((pictures * 255).round().astype(np.uint8))


@pytest.mark.torch
def test_one_step_samples_show_no_held_out_words_and_nothing_of_another_caption() -> None:
    """What such a sample shows of its own caption may truly be there: with guidance, colours and often shapes are.

    Words are not, where the model cannot spell: one step then gives the mean of many words.
    """
    scenes = held_out_scenes(60, seed=4242)
    captions = [caption_of(scene) for scene in scenes]
    signs = one_step(captions[:15], guidance=3.0, model="tiny-sd3-mid")
    own = shares((check(p, s).verdicts() for p, s in zip(signs, scenes, strict=False)), "seen in one-step samples")
    assert own["word"] <= MOST_WRONGLY_SEEN
    pictures = one_step(captions, guidance=3.0)
    # The scenes come signs first: mixed, so that signs are held against captions of things, and the other way round.
    order = np.random.default_rng(1).permutation(len(scenes))
    mixed = [scenes[k] for k in order]
    seen = swapped(mixed, [pictures[k] for k in order], "wrongly seen in one-step samples of another caption")
    assert set(seen) == ATTRIBUTES
    assert max(seen.values()) <= MOST_WRONGLY_SEEN


@pytest.mark.torch
def test_one_step_samples_of_no_caption_show_no_shapes_counts_or_letters() -> None:
    """Without caption and guidance one step gives the mean of all of training: a blur with nothing in it to name."""
    pictures, rng = one_step([""] * 24, guidance=1.0), np.random.default_rng(2)
    seen = shares(
        (only(check(picture, random_scene(rng)), ATTRIBUTES) for picture in pictures for _ in range(10)),
        "seen in one-step samples of no caption",
    )
    assert set(seen) == ATTRIBUTES
    assert max(seen[name] for name in SHARP | {"place"}) <= MOST_WRONGLY_SEEN

"""What a model can draw: samples for held-out captions, measured by the picture checker."""

from dataclasses import dataclass

import numpy as np
import torch
from diffusers import StableDiffusion3Pipeline

from generation.scenes import caption_of, check, held_out_scenes
from generation.training.components import PICTURE_SIZE, T5_TOKENS

BATCH = 25
GUIDANCE = 3.0
SHAPE_IS_RIGHT = 0.6


@dataclass(frozen=True)
class Quality:
    """Shares of held-out captions: background, colours, place and shape right; words spelled exactly; letters right."""

    background: float
    colours: float
    place: float
    shape: float
    words: float
    letters: float
    cleanliness: float


def sample(pipeline: StableDiffusion3Pipeline, captions: list[str], *, steps: int, seed: int) -> list[np.ndarray]:
    """uint8 pictures for captions, each from its own seeded generator, on explicit sigmas linspace(1, 1/N, N)."""
    generators = [torch.Generator("cpu").manual_seed(seed + k) for k in range(len(captions))]
    pictures = pipeline(
        prompt=captions,
        sigmas=np.linspace(1, 1 / steps, steps).tolist(),
        num_inference_steps=steps,
        guidance_scale=GUIDANCE,
        height=PICTURE_SIZE,
        width=PICTURE_SIZE,
        max_sequence_length=T5_TOKENS,
        generator=generators,
    ).images
    return [np.asarray(picture) for picture in pictures]


def evaluate(pipeline: StableDiffusion3Pipeline, *, steps: int, count: int = 200, seed: int = 0) -> Quality:
    """Sample once for every one of `count` held-out captions (a quarter of them signs) and measure."""
    scenes = held_out_scenes(count, seed=4242)
    pictures: list[np.ndarray] = []
    for start in range(0, count, BATCH):
        captions = [caption_of(scene) for scene in scenes[start : start + BATCH]]
        pictures += sample(pipeline, captions, steps=steps, seed=seed + start)
    findings = [check(picture, scene) for picture, scene in zip(pictures, scenes, strict=True)]
    things = [f for f in findings if f.letters is None]
    letters = [f.letters for f in findings if f.letters is not None]
    return Quality(
        background=float(np.mean([f.background > 0 for f in findings])),
        colours=float(np.mean([f.colours > 0 for f in findings])),
        place=float(np.mean([f.place == 1 for f in things])),
        shape=float(np.mean([f.shape > SHAPE_IS_RIGHT for f in things])),
        words=float(np.mean([share == 1 for share in letters])),
        letters=float(np.mean(letters)),
        cleanliness=float(np.mean([f.cleanliness for f in findings])),
    )

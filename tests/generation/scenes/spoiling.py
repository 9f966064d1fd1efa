"""Scenes of every kind, and what may happen to their pictures: noise and blur of known size, with fixed seeds."""

import numpy as np
from PIL import Image, ImageFilter

from generation.scenes import Scene, draw, random_scene

MOST_NOISE = 12.0  # levels, standard deviation
MOST_BLUR = 0.7  # pixels, Gaussian radius


def random_scenes(count: int, *, seed: int = 5) -> list[Scene]:
    rng = np.random.default_rng(seed)
    return [random_scene(rng) for _ in range(count)]


def varied(scenes: list[Scene], *, seed: int = 6) -> list[np.ndarray]:
    """Fresh drawings with the variation of training."""
    rng = np.random.default_rng(seed)
    return [draw(scene, rng=rng) for scene in scenes]


def noisy(picture: np.ndarray, *, sd: float, rng: np.random.Generator) -> np.ndarray:
    return np.clip(picture + rng.normal(0, sd, picture.shape), 0, 255).round().astype(np.uint8)


def blurred(picture: np.ndarray, *, radius: float) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(radius)))


def spoiled(scenes: list[Scene], *, seed: int = 7) -> list[np.ndarray]:
    """Fresh drawings, each blurred and noisy by a random amount up to MOST_BLUR and MOST_NOISE."""
    rng = np.random.default_rng(seed)
    return [
        noisy(blurred(picture, radius=rng.uniform(0, MOST_BLUR)), sd=rng.uniform(0, MOST_NOISE), rng=rng)
        for picture in varied(scenes, seed=seed)
    ]

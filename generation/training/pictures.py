"""Random scenes as tensors, the same for the same seed and step."""

import numpy as np
import torch

from generation.scenes import Scene, draw, random_scene


def as_tensor(picture: np.ndarray) -> torch.Tensor:
    """uint8 (h, w, 3) to float (3, h, w) in [-1, 1]."""
    return torch.from_numpy(picture.copy()).permute(2, 0, 1).float() / 127.5 - 1.0


def random_pictures(rng: np.random.Generator, count: int) -> tuple[torch.Tensor, list[Scene]]:
    """`count` training scenes: pictures of shape (count, 3, 64, 64) in [-1, 1], and what they show."""
    scenes = [random_scene(rng) for _ in range(count)]
    return drawn(scenes, rng), scenes


def drawn(scenes: list[Scene], rng: np.random.Generator) -> torch.Tensor:
    """Varied pictures of these scenes: (n, 3, 64, 64) in [-1, 1]."""
    return torch.stack([as_tensor(draw(scene, rng=rng)) for scene in scenes])

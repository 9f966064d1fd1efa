"""Scenes drawn, encoded and described once for the whole family: equal data, and no time lost in training."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL

from generation.scenes import Scene, caption_of, held_out_scenes, random_scene
from generation.training.pictures import drawn
from generation.training.text_encoders import TextEncoders, TextFeatures

CHUNK = 256
SEED = 20_27


@dataclass(frozen=True)
class LatentDataset:
    """Latents (n, 8, 16, 16) of about unit deviation, their captions' features, and the empty caption's."""

    latents: torch.Tensor
    features: TextFeatures
    empty: TextFeatures

    def __len__(self) -> int:
        return len(self.latents)

    def to(self, device: str) -> "LatentDataset":
        """The same on another device."""
        return LatentDataset(self.latents.to(device), self.features.to(device), self.empty.to(device))


def prepare_dataset(
    file: Path, *, vae: AutoencoderKL, encoders: TextEncoders, scenes: int, device: str = "cpu"
) -> Iterator[int]:
    """Draw and encode `scenes` training scenes into `file` unless it is there; yields the number done so far."""
    if file.exists():
        yield scenes
        return
    rng = np.random.default_rng(SEED)
    latents, features = [], []
    for start in range(0, scenes, CHUNK):
        some = [random_scene(rng) for _ in range(min(CHUNK, scenes - start))]
        latent, feature = encode(some, rng, vae=vae, encoders=encoders, device=device)
        latents.append(latent.half().cpu())
        features.append(feature.half().to("cpu"))
        yield start + len(some)
    with torch.no_grad():
        empty = encoders([""]).half().to("cpu")
    temporary = file.with_suffix(".tmp")
    torch.save(
        {"latents": torch.cat(latents), "features": vars(TextFeatures.cat(features)), "empty": vars(empty)}, temporary
    )
    temporary.replace(file)


def load_dataset(file: Path, *, device: str = "cpu") -> LatentDataset:
    """What `prepare_dataset` wrote."""
    kept = torch.load(file, weights_only=True)
    return LatentDataset(kept["latents"], TextFeatures(**kept["features"]), TextFeatures(**kept["empty"])).to(device)


@torch.no_grad()
def encode(
    scenes: list[Scene], rng: np.random.Generator, *, vae: AutoencoderKL, encoders: TextEncoders, device: str = "cpu"
) -> tuple[torch.Tensor, TextFeatures]:
    """Scaled latents of varied pictures of these scenes, and the features of their captions."""
    latents = vae.encode(drawn(scenes, rng).to(device)).latent_dist.mean * vae.config.scaling_factor
    return latents, encoders([caption_of(scene) for scene in scenes])


def held_out_dataset(*, vae: AutoencoderKL, encoders: TextEncoders, scenes: int, device: str = "cpu") -> LatentDataset:
    """The fixed set that validation losses are measured on: captions, pictures and words that no training saw."""
    rng = np.random.default_rng(99)
    latents, features = encode(held_out_scenes(scenes, seed=99), rng, vae=vae, encoders=encoders, device=device)
    with torch.no_grad():
        empty = encoders([""])
    return LatentDataset(latents, features, empty)

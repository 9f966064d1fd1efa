"""Latents that need no training: the strongest directions of 4 x 4 pixel patches."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from generation.scenes import draw, random_scene
from generation.training.components import LATENT_CHANNELS

PATCH = 4


@dataclass(frozen=True)
class PatchBasis:
    """A linear encoder: mean (48,), directions (48, 12). Latents have a standard deviation of about 1.

    Weak directions (edges) are lifted to the fourth root of their variance, between plain PCA (they would drown in
    noise) and whitening (they would dominate the loss).
    """

    mean: torch.Tensor
    directions: torch.Tensor

    def encode(self, pictures: torch.Tensor) -> torch.Tensor:
        """Pictures in [-1, 1], shape (n, 3, 64, 64), to latents of shape (n, 12, 16, 16)."""
        patches = nn.functional.pixel_unshuffle(pictures, PATCH)
        return torch.einsum("nchw,cd->ndhw", patches - self.mean[None, :, None, None], self.directions)


def fit_patch_basis(*, scenes: int = 2000, seed: int = 0) -> PatchBasis:
    """Principal components of the patches of `scenes` random scenes; a few seconds."""
    rng = np.random.default_rng(seed)
    pictures = torch.stack([as_tensor(draw(random_scene(rng), rng=rng)) for _ in range(scenes)])
    patches = nn.functional.pixel_unshuffle(pictures, PATCH).permute(0, 2, 3, 1).reshape(-1, 3 * PATCH * PATCH).double()
    mean = patches.mean(0)
    variance, vectors = torch.linalg.eigh((patches - mean).T @ (patches - mean) / len(patches))
    variance, vectors = variance.flip(0)[:LATENT_CHANNELS], vectors.flip(1)[:, :LATENT_CHANNELS]
    lifted = vectors * variance.pow(-0.25)
    scale = (variance.pow(0.5).mean()).sqrt()
    return PatchBasis(mean=mean.float(), directions=(lifted / scale).float())


def as_tensor(picture: np.ndarray) -> torch.Tensor:
    """uint8 (h, w, 3) to float (3, h, w) in [-1, 1]."""
    return torch.from_numpy(picture.copy()).permute(2, 0, 1).float() / 127.5 - 1.0

"""Training of the AutoencoderKL: first both halves, then the decoder alone on the latents that are fixed by then."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import nn

from generation.scenes import held_out_scenes
from generation.training.components import build_vae
from generation.training.loop import Progress, Trainer
from generation.training.pictures import drawn, random_pictures

BATCH = 16
LEARNING_RATE = 4e-3
KL_WEIGHT = 2e-4  # of the mean over latents, beside the mean over pixels: latents of about unit size, little blur
LATENT_NOISE = (
    0.15  # of the latents' deviation: sampled latents are never exact; without it their errors show as texture
)
SEED = 20_26


def fresh_vae() -> AutoencoderKL:
    """The untrained autoencoder, the same for every run."""
    torch.manual_seed(SEED)
    return build_vae()


def reconstruction_loss(painted: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
    """Mean absolute plus twice the mean squared error, a scalar; pictures in [-1, 1]."""
    error = painted - pictures
    return error.abs().mean() + 2 * error.pow(2).mean()


def train_autoencoder(state_file: Path, *, steps: int, device: str = "cpu") -> Iterator[Progress]:
    """Encoder and decoder together: reconstruction and a small KL term (Rombach et al. 2112.10752, section 3.1)."""
    vae = fresh_vae().to(device)
    trainer = Trainer(vae, state_file=state_file, learning_rate=LEARNING_RATE, seed=SEED)

    def loss_of(generator: torch.Generator, step: int) -> torch.Tensor:
        pictures = random_pictures(np.random.default_rng([SEED, step]), BATCH)[0].to(device)
        posterior = vae.encode(pictures).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=generator).to(device)
        latents = posterior.mean + posterior.std * noise
        kl = 0.5 * (posterior.mean.pow(2) + posterior.var - 1.0 - posterior.logvar).mean()
        return reconstruction_loss(vae.decode(latents).sample, pictures) + KL_WEIGHT * kl

    yield from trainer.run(loss_of, steps=steps)


def train_decoder(state_file: Path, *, vae: AutoencoderKL, steps: int) -> Iterator[Progress]:
    """The decoder alone, from where it is: pictures behind slightly noisy latents; the encoder stays as it is."""
    trainer = Trainer(vae.decoder, state_file=state_file, learning_rate=LEARNING_RATE / 2, seed=SEED + 1)
    encoder: nn.Module = vae.encoder.eval().requires_grad_(False)

    def loss_of(generator: torch.Generator, step: int) -> torch.Tensor:
        pictures = random_pictures(np.random.default_rng([SEED + 1, step]), BATCH)[0].to(vae.device)
        with torch.no_grad():
            latents = encoder(pictures).chunk(2, dim=1)[0]
        amount = LATENT_NOISE * torch.rand(len(latents), 1, 1, 1, generator=generator) / vae.config.scaling_factor
        noise = amount * torch.randn(latents.shape, generator=generator)
        return reconstruction_loss(vae.decoder(latents + noise.to(vae.device)), pictures)

    yield from trainer.run(loss_of, steps=steps)


@torch.no_grad()
def peak_signal_to_noise(vae: AutoencoderKL, *, scenes: int = 100) -> float:
    """Decibels of reconstructed held-out pictures, from the mean squared error over all of them (8-bit peak)."""
    pictures = drawn(held_out_scenes(scenes, seed=11), np.random.default_rng(11))
    painted = vae.decode(vae.encode(pictures).latent_dist.mean).sample.clamp(-1, 1)
    return float(10 * torch.log10(4 / (painted - pictures).pow(2).mean()))

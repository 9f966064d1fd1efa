"""Training of the tiny SD3: the decoder of its autoencoder, and the transformer with its text encoders."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusion3Pipeline
from torch import nn

from generation.scenes import caption_of, draw, held_out_scenes, random_scene
from generation.training.components import T5_TOKENS, build_pipeline
from generation.training.latents import PatchBasis, as_tensor, fit_patch_basis
from generation.training.loop import Progress, Trainer
from generation.training.losses import logit_normal, validation_loss, velocity_loss

BATCH = 32
DECODER_BATCH = 16
CAPTION_DROPOUT = 0.1
SEED = 20_26


class TextToVelocity(nn.Module):
    """The transformer and both text encoders, called the way StableDiffusion3Pipeline calls them."""

    def __init__(self, pipeline: StableDiffusion3Pipeline) -> None:
        super().__init__()
        self.tokenizer = pipeline.tokenizer
        self.text_encoder = pipeline.text_encoder
        self.text_encoder_2 = pipeline.text_encoder_2
        self.transformer = pipeline.transformer

    def encode(self, captions: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Token features (n, tokens + T5_TOKENS, 192) and pooled features (n, 192)."""
        ids = self.tokenizer(captions, padding="max_length", truncation=True, return_tensors="pt").input_ids
        one = self.text_encoder(ids, output_hidden_states=True)
        two = self.text_encoder_2(ids, output_hidden_states=True)
        tokens = torch.cat([one.hidden_states[-2], two.hidden_states[-2]], dim=-1)
        missing = torch.zeros(len(captions), T5_TOKENS, tokens.shape[-1])
        return torch.cat([tokens, missing], dim=1), torch.cat([one.text_embeds, two.text_embeds], dim=-1)

    def forward(self, noisy: torch.Tensor, t: torch.Tensor, captions: list[str]) -> torch.Tensor:
        """Velocity (n, 12, 16, 16) at noise levels t (n,)."""
        tokens, pooled = self.encode(captions)
        velocity: torch.Tensor = self.transformer(
            hidden_states=noisy, timestep=1000 * t, encoder_hidden_states=tokens, pooled_projections=pooled
        ).sample
        return velocity


def _scenes_batch(rng: np.random.Generator, count: int) -> tuple[torch.Tensor, list[str]]:
    scenes = [random_scene(rng) for _ in range(count)]
    return torch.stack([as_tensor(draw(scene, rng=rng)) for scene in scenes]), [caption_of(scene) for scene in scenes]


def fresh_pipeline() -> StableDiffusion3Pipeline:
    """The untrained pipeline, the same for every run."""
    torch.manual_seed(SEED)
    return build_pipeline()


def train_decoder(folder: Path, *, steps: int) -> Iterator[Progress]:
    """Teach the AutoencoderKL decoder to paint the pictures behind slightly noisy patch latents."""
    basis = fit_patch_basis()
    vae = fresh_pipeline().vae
    decoder = vae.decoder
    trainer = Trainer(decoder, state_file=folder / "decoder.pt", learning_rate=2e-3, seed=SEED + 1)

    def loss_of(generator: torch.Generator, step: int) -> torch.Tensor:
        pictures, _ = _scenes_batch(np.random.default_rng([SEED + 1, step]), DECODER_BATCH)
        latents = basis.encode(pictures)
        # Sampled latents are never exact; without this noise the decoder would paint their errors as texture.
        amount = 0.25 * torch.rand(len(latents), 1, 1, 1, generator=generator)
        noisy = latents + amount * torch.randn(latents.shape, generator=generator)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            painted = decoder(noisy)
        error = painted.float() - pictures
        loss: torch.Tensor = error.abs().mean() + 2 * error.pow(2).mean()
        return loss

    yield from trainer.run(loss_of, steps=steps)


def train_transformer(folder: Path, *, steps: int, early_at: int) -> Iterator[Progress]:
    """rf/lognorm(0, 1) with caption dropout; the averaged weights at step `early_at` are the early checkpoint."""
    basis = fit_patch_basis()
    model = TextToVelocity(fresh_pipeline())
    trainer = Trainer(model, state_file=folder / "transformer.pt", learning_rate=1.5e-3, seed=SEED)

    def loss_of(generator: torch.Generator, step: int) -> torch.Tensor:
        rng = np.random.default_rng([SEED, step])
        pictures, captions = _scenes_batch(rng, BATCH)
        captions = ["" if rng.random() < CAPTION_DROPOUT else caption for caption in captions]
        latents = basis.encode(pictures)
        noise = torch.randn(latents.shape, generator=generator)
        t = logit_normal(BATCH, generator=generator)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return velocity_loss(lambda z, level: model(z, level, captions), latents, noise, t).mean()

    yield from trainer.run(loss_of, steps=steps, save_average_at={early_at: folder / "transformer-early.pt"})


def held_out_loss(model: TextToVelocity, basis: PatchBasis, *, scenes: int = 256) -> float:
    """The validation loss on a fixed set of held-out captions, pictures and noise."""
    chosen = held_out_scenes(scenes, seed=99)
    rng = np.random.default_rng(99)
    latents = basis.encode(torch.stack([as_tensor(draw(scene, rng=rng)) for scene in chosen]))
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(99))
    captions = [caption_of(scene) for scene in chosen]
    with torch.inference_mode():
        return validation_loss(lambda z, level: model(z, level, captions), latents, noise)

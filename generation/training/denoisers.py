"""What denoises: the MM-DiT and the UNet behind one call, and their training under any formulation."""

from collections.abc import Iterator
from pathlib import Path

import torch
from diffusers import SD3Transformer2DModel, UNet2DConditionModel
from torch import nn

from generation.training.components import build_transformer, build_unet
from generation.training.dataset import LatentDataset
from generation.training.family import BATCH
from generation.training.formulations.formulation import Formulation
from generation.training.loop import Progress, Trainer
from generation.training.text_encoders import TextFeatures

LEARNING_RATE = 1.5e-3
CAPTION_DROPOUT = 0.1  # for classifier-free guidance
T5_DROPOUT = 0.15  # so that a recipe can leave the T5 encoder out; SD3 (section 5.2) drops each encoder in 46.4 %
SEED = 20_28


class MMDiT(nn.Module):
    """SD3's transformer, called as StableDiffusion3Pipeline calls it."""

    def __init__(self) -> None:
        super().__init__()
        self.transformer: SD3Transformer2DModel = build_transformer()

    def forward(self, shown: torch.Tensor, time: torch.Tensor, captions: TextFeatures) -> torch.Tensor:
        """Prediction (n, 8, 16, 16) for noisy latents of that shape at network times (n,)."""
        predicted: torch.Tensor = self.transformer(
            hidden_states=shown,
            timestep=time,
            encoder_hidden_states=captions.joint_tokens(),
            pooled_projections=captions.pooled,
        ).sample
        return predicted


class UNet(nn.Module):
    """Latent diffusion's UNet, called as StableDiffusionPipeline calls it: the first CLIP encoder and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.unet: UNet2DConditionModel = build_unet()

    def forward(self, shown: torch.Tensor, time: torch.Tensor, captions: TextFeatures) -> torch.Tensor:
        """Prediction (n, 8, 16, 16) for noisy latents of that shape at network times (n,)."""
        predicted: torch.Tensor = self.unet(shown, time, captions.last_clip_tokens).sample
        return predicted


Denoiser = MMDiT | UNet
DENOISERS: dict[str, type[Denoiser]] = {"mmdit": MMDiT, "unet": UNet}


def fresh_denoiser(kind: str) -> Denoiser:
    """The untrained denoiser of that kind, the same for every run."""
    torch.manual_seed(SEED)
    return DENOISERS[kind]()


def batch_of(
    data: LatentDataset, *, generator: torch.Generator, size: int = BATCH, offset_noise: float = 0.0
) -> tuple[torch.Tensor, torch.Tensor, TextFeatures]:
    """(latents, noise, captions' features) of random scenes, with some captions and some T5 features dropped."""
    rows = torch.randint(len(data), (size,), generator=generator)
    without_caption = torch.rand(size, generator=generator) < CAPTION_DROPOUT
    without_t5 = torch.rand(size, generator=generator) < T5_DROPOUT
    noise = torch.randn((size, *data.latents.shape[1:]), generator=generator)
    if offset_noise:
        noise += offset_noise * torch.randn((size, data.latents.shape[1], 1, 1), generator=generator)
    device = data.latents.device
    rows, without_caption, without_t5 = rows.to(device), without_caption.to(device), without_t5.to(device)
    captions = dropped(data.features.of(rows), data.empty, without_caption=without_caption, without_t5=without_t5)
    return data.latents[rows].float(), noise.to(device), captions


def dropped(
    captions: TextFeatures, empty: TextFeatures, *, without_caption: torch.Tensor, without_t5: torch.Tensor
) -> TextFeatures:
    """The captions' features: for some the empty caption's, for some zeros for T5, as SD3 has them; masks (n,)."""
    masked = {
        name: torch.where(without_caption.view(-1, *(1,) * (value.ndim - 1)), vars(empty)[name].float(), value)
        for name, value in vars(captions).items()
    }
    masked["t5_tokens"] = masked["t5_tokens"] * (~without_t5).view(-1, 1, 1)
    return TextFeatures(**masked)


def train_denoiser(
    state_file: Path,
    *,
    denoiser: Denoiser,
    formulation: Formulation,
    data: LatentDataset,
    steps: int,
    cool_down: float = 0.0,
    offset_noise: float = 0.0,
    save_average_at: dict[int, Path] | None = None,
) -> Iterator[Progress]:
    """Train until `steps`; the averaged weights at the steps of `save_average_at` are kept in those files."""
    trainer = Trainer(denoiser, state_file=state_file, learning_rate=LEARNING_RATE, seed=SEED, cool_down=cool_down)
    device = data.latents.device

    def loss_of(generator: torch.Generator, step: int) -> torch.Tensor:
        latents, noise, captions = batch_of(data, generator=generator, offset_noise=offset_noise)
        t = formulation.sample_times(BATCH, generator).to(device)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
            return formulation.losses(lambda shown, time: denoiser(shown, time, captions), latents, noise, t).mean()

    yield from trainer.run(loss_of, steps=steps, save_average_at=save_average_at)


def held_out_loss(denoiser: Denoiser, *, formulation: Formulation, held_out: LatentDataset) -> float:
    """The validation loss: fixed captions, pictures and noise; noise levels equidistant in t, without t = 1.

    Comparable within one formulation only (SD3, arXiv 2403.03206, section 5.3).
    """
    latents = held_out.latents.float()
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(99)).to(latents.device)
    captions = held_out.features.of(torch.arange(len(held_out), device=latents.device))
    return formulation.validation_loss(lambda shown, time: denoiser(shown, time, captions), latents, noise)

"""A LoRA adapter on the finished transformer (Hu et al. 2106.09685, through peft): the same scenes in another style."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, StableDiffusion3Pipeline
from peft import LoraConfig, get_peft_model_state_dict
from torch import nn

from generation.scenes import caption_of, random_scene
from generation.training.denoisers import MMDiT
from generation.training.formulations.formulation import Formulation
from generation.training.loop import Progress, Trainer
from generation.training.pictures import drawn
from generation.training.text_encoders import TextEncoders

RANK = 8
TARGETS = ("to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj")
BATCH = 32
LEARNING_RATE = 2e-3
PASTEL = 0.55  # how far every shade moves towards white
SEED = 20_29


def in_style(pictures: torch.Tensor) -> torch.Tensor:
    """Pictures in [-1, 1] with every shade moved towards white."""
    return pictures + PASTEL * (1 - pictures)


def with_adapter(denoiser: MMDiT) -> MMDiT:
    """The denoiser with fresh low-rank matrices beside its attention; everything else is frozen."""
    denoiser.requires_grad_(False)
    torch.manual_seed(SEED)
    denoiser.transformer.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=list(TARGETS)))
    return denoiser


class LowRank(nn.Module):
    """Only the trainable matrices of a denoiser, so that state and average hold nothing else."""

    def __init__(self, denoiser: MMDiT) -> None:
        super().__init__()
        named = [(name, weight) for name, weight in denoiser.named_parameters() if weight.requires_grad]
        self.names = [name for name, _ in named]
        self.weights = nn.ParameterList([weight for _, weight in named])


def train_adapter(
    state_file: Path,
    *,
    denoiser: MMDiT,
    formulation: Formulation,
    vae: AutoencoderKL,
    encoders: TextEncoders,
    steps: int,
) -> Iterator[Progress]:
    """Train the matrices of `with_adapter` on pictures in style, each drawn once."""
    trainer = Trainer(LowRank(denoiser), state_file=state_file, learning_rate=LEARNING_RATE, seed=SEED, cool_down=0.3)
    device = vae.device

    def loss_of(generator: torch.Generator, step: int) -> torch.Tensor:
        rng = np.random.default_rng([SEED, step])
        scenes = [random_scene(rng) for _ in range(BATCH)]
        with torch.no_grad():
            pictures = in_style(drawn(scenes, rng)).to(device)
            latents = vae.encode(pictures).latent_dist.mean * vae.config.scaling_factor
            captions = encoders([caption_of(scene) for scene in scenes])
        noise = torch.randn(latents.shape, generator=generator).to(device)
        t = formulation.sample_times(BATCH, generator).to(device)
        return formulation.losses(lambda shown, time: denoiser(shown, time, captions), latents, noise, t).mean()

    yield from trainer.run(loss_of, steps=steps)


def save_adapter(denoiser: MMDiT, state_file: Path, folder: Path) -> None:
    """Write the averaged matrices as `pytorch_lora_weights.safetensors`, half precision, for `load_lora_weights`."""
    average = torch.load(state_file, weights_only=True, map_location="cpu")["average"]
    low_rank = LowRank(denoiser)
    low_rank.load_state_dict(average)
    weights: dict[str, Any] = get_peft_model_state_dict(denoiser.transformer)
    StableDiffusion3Pipeline.save_lora_weights(
        folder, transformer_lora_layers={name: weight.half().contiguous() for name, weight in weights.items()}
    )

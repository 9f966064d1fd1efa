"""Rectified flow: the forward process, the timestep density and the loss (SD3, arXiv 2403.03206, sections 2-3)."""

from collections.abc import Callable

import torch

Denoiser = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""(noisy latents (n, c, h, w), noise levels t in (0, 1) (n,)) -> predicted velocity (n, c, h, w)."""


def logit_normal(count: int, *, mean: float = 0.0, deviation: float = 1.0, generator: torch.Generator) -> torch.Tensor:
    """t = sigmoid(u), u ~ N(mean, deviation^2): SD3's rf/lognorm(mean, deviation). Returns shape (count,)."""
    return torch.sigmoid(mean + deviation * torch.randn(count, generator=generator))


def forward_process(latents: torch.Tensor, noise: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """z_t = (1 - t) x0 + t eps."""
    level = t.view(-1, 1, 1, 1)
    return (1 - level) * latents + level * noise


def velocity_loss(denoiser: Denoiser, latents: torch.Tensor, noise: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """Mean squared error against the velocity eps - x0 for every example, shape (n,)."""
    predicted = denoiser(forward_process(latents, noise, t), t)
    return (predicted.float() - (noise - latents)).pow(2).mean(dim=(1, 2, 3))


def validation_loss(denoiser: Denoiser, latents: torch.Tensor, noise: torch.Tensor, *, levels: int = 8) -> float:
    """The loss at `levels` noise levels equidistant in t, averaged over all but t = 1 (SD3, section 5.3, Fig. 8)."""
    losses = [
        velocity_loss(denoiser, latents, noise, torch.full((len(latents),), step / levels)).mean().item()
        for step in range(1, levels)
    ]
    return sum(losses) / len(losses)

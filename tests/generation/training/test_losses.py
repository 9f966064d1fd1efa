"""Rectified flow against numbers worked out by hand."""

import numpy as np
import pytest
import torch

from generation.training.losses import forward_process, logit_normal, validation_loss, velocity_loss

LATENTS = torch.full((2, 1, 1, 1), 2.0)
NOISE = torch.full((2, 1, 1, 1), -1.0)


def test_the_forward_process_runs_in_a_straight_line_from_picture_to_noise() -> None:
    between = [forward_process(LATENTS, NOISE, torch.full((2,), t))[0].item() for t in (0.0, 0.25, 1.0)]
    assert between == [2.0, 1.25, -1.0]


def test_a_denoiser_that_knows_the_velocity_has_no_loss() -> None:
    loss = velocity_loss(lambda z, t: NOISE - LATENTS, LATENTS, NOISE, torch.tensor([0.3, 0.7]))
    assert loss.tolist() == [0.0, 0.0]


def test_a_denoiser_that_says_nothing_has_the_squared_velocity_as_loss() -> None:
    loss = velocity_loss(lambda z, t: torch.zeros_like(z), LATENTS, NOISE, torch.tensor([0.3, 0.7]))
    assert loss.tolist() == [9.0, 9.0]


def test_logit_normal_noise_levels_have_the_published_density() -> None:
    t = logit_normal(200_000, generator=torch.Generator().manual_seed(0)).double().numpy()
    edges = np.linspace(0, 1, 11)
    share, _ = np.histogram(t, bins=edges)
    grid = np.linspace(1e-6, 1 - 1e-6, 200_001)
    density = np.exp(-(np.log(grid / (1 - grid)) ** 2) / 2) / (np.sqrt(2 * np.pi) * grid * (1 - grid))
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=1e-4)
    expected = [
        np.trapezoid(density[(grid >= a) & (grid <= b)], grid[(grid >= a) & (grid <= b)])
        for a, b in zip(edges, edges[1:], strict=False)
    ]
    assert np.abs(share / len(t) - expected).max() < 0.004


def test_validation_averages_equidistant_levels_without_the_last() -> None:
    asked: list[float] = []

    def denoiser(z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        asked.append(t[0].item())
        return torch.full_like(z, t[0].item()) + NOISE - LATENTS

    loss = validation_loss(denoiser, LATENTS, NOISE, levels=4)
    assert asked == [0.25, 0.5, 0.75]
    assert loss == pytest.approx((0.0625 + 0.25 + 0.5625) / 3)

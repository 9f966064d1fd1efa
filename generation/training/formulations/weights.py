"""Loss weights w_t of L_w = -1/2 E_t~U[w_t lambda'_t ||eps_theta - eps||^2] (SD3, section 2).

The closed forms are the paper's. `implied_weight` derives the weight of any process, target and density; it equals the
closed form times a constant, which an optimiser cannot see.
"""

import math

import torch

from generation.training.formulations.densities import Density
from generation.training.formulations.processes import Process
from generation.training.formulations.targets import Target


def rectified_flow_weight(t: torch.Tensor, density: Density | None = None) -> torch.Tensor:
    """t / (1 - t), times pi(t) where times are drawn from a density."""
    plain = t / (1 - t)
    return plain if density is None else plain * density.density(t)


def edm_weight(log_snr: torch.Tensor, *, mean: float, deviation: float, sigma_data: float = 0.5) -> torch.Tensor:
    """N(lambda; -2 mean, (2 deviation)^2) * (e^-lambda + sigma_data^2)."""
    distance = (log_snr + 2 * mean) / (2 * deviation)
    normal = torch.exp(-distance.square() / 2) / (2 * deviation * math.sqrt(2 * math.pi))
    return normal * (torch.exp(-log_snr) + sigma_data**2)


def cosine_noise_weight(log_snr: torch.Tensor) -> torch.Tensor:
    """sech(lambda / 2): eps-prediction on the cosine schedule."""
    return 1 / torch.cosh(log_snr / 2)


def cosine_v_weight(log_snr: torch.Tensor) -> torch.Tensor:
    """e^(-lambda / 2): v-prediction on the cosine schedule."""
    return torch.exp(-log_snr / 2)


def implied_weight(process: Process, target: Target, density: Density, t: torch.Tensor) -> torch.Tensor:
    """The w_t for which L_w is E[||prediction - target||^2] with t drawn from `density`: -2 pi c^2 / lambda'.

    c is the target's error per error in eps. For the grid of latent diffusion this is the only form: the paper prints
    none.
    """
    scale = target.noise_error_scale(*process.coefficients(t))
    return -2 * density.density(t) * scale.square() / process.log_snr_derivative(t)


def general_loss(
    weight: torch.Tensor, log_snr_derivative: torch.Tensor, squared_noise_error: torch.Tensor
) -> torch.Tensor:
    """-1/2 mean(w lambda' ||eps_theta - eps||^2) over uniformly drawn t; all three of shape (n,)."""
    return -0.5 * (weight * log_snr_derivative * squared_noise_error).mean()

"""Forward processes z_t = a_t x0 + b_t eps, t from 0 (picture) to 1 (noise), and their log signal-to-noise ratio.

Every method takes times t of any shape and returns tensors of that shape, type and device.
"""

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Protocol

import torch

GRID: Final = 1000
"""Timesteps are counted in thousandths: SD3's transformer and LDM's UNet both embed 0 to 1000."""


class Process(Protocol):
    """A forward process."""

    def coefficients(self, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(a_t, b_t)."""

    def log_snr(self, t: torch.Tensor) -> torch.Tensor:
        """lambda_t = log(a_t^2 / b_t^2)."""

    def log_snr_derivative(self, t: torch.Tensor) -> torch.Tensor:
        """d lambda / dt: below 0, because noise only grows."""

    def network_time(self, t: torch.Tensor) -> torch.Tensor:
        """What the network is told about t."""


def shifted(t: torch.Tensor, *, shift: float) -> torch.Tensor:
    """t' = shift * t / (1 + (shift - 1) * t): the same picture noised at another resolution (SD3, section 5.3.2)."""
    if not (math.isfinite(shift) and shift > 0):
        raise ValueError(f"A timestep shift must be above 0, not {shift}.")
    return shift * t / (1 + (shift - 1) * t)


@dataclass(frozen=True)
class RectifiedFlow:
    """A straight line from picture to noise: a = 1 - t, b = t."""

    def coefficients(self, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return 1 - t, t

    def log_snr(self, t: torch.Tensor) -> torch.Tensor:
        return 2 * (torch.log1p(-t) - torch.log(t))

    def log_snr_derivative(self, t: torch.Tensor) -> torch.Tensor:
        return -2 / (t * (1 - t))

    def network_time(self, t: torch.Tensor) -> torch.Tensor:
        return GRID * t


@dataclass(frozen=True)
class Cosine:
    """A quarter of a circle: a = cos(pi t / 2), b = sin(pi t / 2) (Nichol and Dhariwal, 2102.09672, without offset)."""

    def coefficients(self, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        angle = math.pi / 2 * t
        return torch.cos(angle), torch.sin(angle)

    def log_snr(self, t: torch.Tensor) -> torch.Tensor:
        return -2 * torch.log(torch.tan(math.pi / 2 * t))

    def log_snr_derivative(self, t: torch.Tensor) -> torch.Tensor:
        return -2 * math.pi / torch.sin(math.pi * t)

    def network_time(self, t: torch.Tensor) -> torch.Tensor:
        return GRID * t


@dataclass(frozen=True)
class LinearGrid:
    """a, b, lambda and d lambda / dt at the grid times 1/GRID to 1, each of shape (GRID,)."""

    a: torch.Tensor
    b: torch.Tensor
    log_snr: torch.Tensor
    log_snr_derivative: torch.Tensor


# Kept for each device: a copy to the GPU at every training step would wait for the step before.
@lru_cache(maxsize=8)
def linear_grid(first_beta: float, last_beta: float, device: torch.device, dtype: torch.dtype) -> LinearGrid:
    """The grid of latent diffusion, computed in float64; diffusers calls these betas "scaled_linear"."""
    # A validation in inference mode may come first; its tensors could not be used for training afterwards.
    with torch.inference_mode(False):
        roots = torch.linspace(math.sqrt(first_beta), math.sqrt(last_beta), GRID, dtype=torch.float64)
        squared = torch.cumprod(1 - roots.square(), dim=0)
        log_snr = torch.log(squared / (1 - squared))
        (slope,) = torch.gradient(log_snr, spacing=1 / GRID, edge_order=2)
        tables = (squared.sqrt(), (1 - squared).sqrt(), log_snr, slope)
        return LinearGrid(*(table.to(device=device, dtype=dtype) for table in tables))


@dataclass(frozen=True)
class LatentDiffusionLinear:
    """The discrete schedule of latent diffusion (Rombach et al., 2112.10752): t in (0, 1] stands for grid index
    ceil(1000 t) - 1, so that uniform t draws every index equally often.

    lambda is a step function of t; its derivative is the slope between the neighbours on the grid.
    """

    first_beta: float = 0.00085
    last_beta: float = 0.012

    def index(self, t: torch.Tensor) -> torch.Tensor:
        """Grid indices 0 to 999, int64."""
        # float32 puts 0.007 * 1000 a hair above 7; the allowance keeps grid times on their own index.
        return torch.ceil(GRID * t - 1e-3).long().clamp(1, GRID) - 1

    def coefficients(self, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        grid, index = self._grid(t), self.index(t)
        return grid.a[index], grid.b[index]

    def log_snr(self, t: torch.Tensor) -> torch.Tensor:
        return self._grid(t).log_snr[self.index(t)]

    def log_snr_derivative(self, t: torch.Tensor) -> torch.Tensor:
        return self._grid(t).log_snr_derivative[self.index(t)]

    def network_time(self, t: torch.Tensor) -> torch.Tensor:
        return self.index(t).to(t.dtype)

    def _grid(self, t: torch.Tensor) -> LinearGrid:
        return linear_grid(self.first_beta, self.last_beta, t.device, t.dtype)


@dataclass(frozen=True)
class LogNormalNoise:
    """EDM (Karras et al., 2206.00364): a = 1, and uniform t gives log b ~ N(mean, deviation^2), so that
    lambda ~ N(-2 mean, (2 deviation)^2)."""

    mean: float
    deviation: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean) and math.isfinite(self.deviation) and self.deviation > 0):
            raise ValueError(
                f"edm needs a finite mean and a deviation above 0, not ({self.mean:g},{self.deviation:g})."
            )

    def log_noise(self, t: torch.Tensor) -> torch.Tensor:
        """log b_t: the normal quantile of t."""
        quantile: torch.Tensor = torch.special.ndtri(t)
        return self.mean + self.deviation * quantile

    def coefficients(self, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.ones_like(t), torch.exp(self.log_noise(t))

    def log_snr(self, t: torch.Tensor) -> torch.Tensor:
        return -2 * self.log_noise(t)

    def log_snr_derivative(self, t: torch.Tensor) -> torch.Tensor:
        normal_density = torch.exp(-torch.special.ndtri(t).square() / 2) / math.sqrt(2 * math.pi)
        return -2 * self.deviation / normal_density

    def network_time(self, t: torch.Tensor) -> torch.Tensor:
        return GRID / 4 * self.log_noise(t)


@dataclass(frozen=True)
class UnscaledPicture:
    """The signal-to-noise ratios of another process with a = 1: x0 + (b / a) eps. SD3's edm/rf and edm/cos.

    The paper says only that these match the log-SNR of rf and of v/cos; matching lambda_t at every t is our reading.
    """

    matched: Process = field(default_factory=RectifiedFlow)

    def coefficients(self, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.ones_like(t), torch.exp(-self.log_snr(t) / 2)

    def log_snr(self, t: torch.Tensor) -> torch.Tensor:
        return self.matched.log_snr(t)

    def log_snr_derivative(self, t: torch.Tensor) -> torch.Tensor:
        return self.matched.log_snr_derivative(t)

    def network_time(self, t: torch.Tensor) -> torch.Tensor:
        """1000 times EDM's c_noise = log(b) / 4, which the transformer embeds on the scale of its timesteps."""
        return -GRID / 8 * self.log_snr(t)

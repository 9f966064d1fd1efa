"""Timestep densities pi(t) on (0, 1): which noise levels training sees how often (SD3, section 3.1)."""

import math
from dataclasses import dataclass
from typing import Final, Protocol

import torch

EDGE: Final = 1e-6
"""Sampled times keep this distance from 0 and 1, where log-SNRs are infinite: one draw in a million is moved."""

MOST_MODE_SCALE: Final = 2 / (math.pi - 2)


class Density(Protocol):
    """A density on (0, 1)."""

    def sample(self, count: int, generator: torch.Generator) -> torch.Tensor:
        """Independent times, float32, shape (count,), on the generator's device."""

    def density(self, t: torch.Tensor) -> torch.Tensor:
        """pi(t), of t's shape; 0 < t < 1."""


def _uniform(count: int, generator: torch.Generator) -> torch.Tensor:
    return torch.rand(count, generator=generator, device=generator.device)


def _inside(t: torch.Tensor) -> torch.Tensor:
    return t.clamp(EDGE, 1 - EDGE)


@dataclass(frozen=True)
class Uniform:
    """Every time equally often."""

    def sample(self, count: int, generator: torch.Generator) -> torch.Tensor:
        return _inside(_uniform(count, generator))

    def density(self, t: torch.Tensor) -> torch.Tensor:
        return torch.ones_like(t)


@dataclass(frozen=True)
class LogitNormal:
    """t = sigmoid(u), u ~ N(mean, deviation^2): rf/lognorm(mean, deviation)."""

    mean: float = 0.0
    deviation: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean) and math.isfinite(self.deviation) and self.deviation > 0):
            raise ValueError(
                f"lognorm needs a finite mean and a deviation above 0, not ({self.mean:g},{self.deviation:g})."
            )

    def sample(self, count: int, generator: torch.Generator) -> torch.Tensor:
        normal = torch.randn(count, generator=generator, device=generator.device)
        return _inside(torch.sigmoid(self.mean + self.deviation * normal))

    def density(self, t: torch.Tensor) -> torch.Tensor:
        distance = (torch.logit(t) - self.mean) / self.deviation
        return torch.exp(-distance.square() / 2) / (self.deviation * math.sqrt(2 * math.pi) * t * (1 - t))


@dataclass(frozen=True)
class Mode:
    """t = f(u) = 1 - u - scale * (cos^2(pi u / 2) - 1 + u), u uniform: the middle more often (scale > 0) or less."""

    scale: float

    def __post_init__(self) -> None:
        if not -1 <= self.scale <= MOST_MODE_SCALE:
            raise ValueError(
                f"mode({self.scale:g}) is no density: its scale lies between -1 and 2/(pi-2) = {MOST_MODE_SCALE:.4f}."
            )

    def sample(self, count: int, generator: torch.Generator) -> torch.Tensor:
        return _inside(self._time(_uniform(count, generator)))

    def density(self, t: torch.Tensor) -> torch.Tensor:
        """1 / |f'(u)| where f(u) = t; infinite at the ends for scale -1 and in the middle for the largest scale."""
        u = self._inverse(t.double())
        slope = 1 + self.scale - self.scale * math.pi / 2 * torch.sin(math.pi * u)
        return (1 / slope.clamp_min(0)).to(t.dtype)

    def _time(self, u: torch.Tensor) -> torch.Tensor:
        return 1 - u - self.scale * (torch.cos(math.pi / 2 * u).square() - 1 + u)

    def _inverse(self, t: torch.Tensor) -> torch.Tensor:
        """u with f(u) = t by bisection: f falls from 1 to 0 for every allowed scale. 60 halvings exhaust float64."""
        low, high = torch.zeros_like(t), torch.ones_like(t)
        for _ in range(60):
            middle = (low + high) / 2
            is_left_of_root = self._time(middle) > t
            low, high = torch.where(is_left_of_root, middle, low), torch.where(is_left_of_root, high, middle)
        return (low + high) / 2


@dataclass(frozen=True)
class CosMap:
    """t = 1 - 1 / (tan(pi u / 2) + 1): rectified flow with the log-SNRs of the cosine schedule."""

    def sample(self, count: int, generator: torch.Generator) -> torch.Tensor:
        return _inside(1 - 1 / (torch.tan(math.pi / 2 * _uniform(count, generator)) + 1))

    def density(self, t: torch.Tensor) -> torch.Tensor:
        return 2 / (math.pi - 2 * math.pi * t + 2 * math.pi * t.square())

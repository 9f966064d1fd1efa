"""What the network predicts, and the picture and the noise that a prediction stands for.

`a` and `b` are the coefficients of z = a x0 + b eps, of a shape that broadcasts against the latents.
"""

from dataclasses import dataclass
from typing import Protocol

import torch


class Target(Protocol):
    """One parameterisation of the same knowledge: given z, a prediction fixes x0 and eps."""

    def of(self, x0: torch.Tensor, eps: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """What the network should answer."""

    def parts(
        self, prediction: torch.Tensor, z: torch.Tensor, a: torch.Tensor, b: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The (x0, eps) that a prediction stands for."""

    def network_input(self, z: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """What the network is shown for z."""

    def noise_error_scale(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """|d prediction / d eps| at fixed z: squared, it is what the target's MSE multiplies ||eps' - eps||^2 by."""


class _PlainInput:
    def network_input(self, z: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return z


@dataclass(frozen=True)
class Velocity(_PlainInput):
    """eps - x0: the direction of rectified flow."""

    def of(self, x0: torch.Tensor, eps: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return eps - x0

    def parts(
        self, prediction: torch.Tensor, z: torch.Tensor, a: torch.Tensor, b: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        x0 = (z - b * prediction) / (a + b)
        return x0, x0 + prediction

    def noise_error_scale(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (a + b) / a


@dataclass(frozen=True)
class Noise(_PlainInput):
    """eps (DDPM, latent diffusion)."""

    def of(self, x0: torch.Tensor, eps: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return eps

    def parts(
        self, prediction: torch.Tensor, z: torch.Tensor, a: torch.Tensor, b: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return (z - b * prediction) / a, prediction

    def noise_error_scale(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.ones_like(a)


@dataclass(frozen=True)
class VPrediction(_PlainInput):
    """v = a eps - b x0 (Salimans and Ho, 2202.00512)."""

    def of(self, x0: torch.Tensor, eps: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a * eps - b * x0

    def parts(
        self, prediction: torch.Tensor, z: torch.Tensor, a: torch.Tensor, b: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        length = a.square() + b.square()
        return (a * z - b * prediction) / length, (b * z + a * prediction) / length

    def noise_error_scale(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (a.square() + b.square()) / a


@dataclass(frozen=True)
class Preconditioned:
    """EDM's F (Karras et al., 2206.00364, table 1), for processes with a = 1: x0 = c_skip z + c_out F(c_in z).

    Written as a rotation of (x0 / sigma_data, eps), which stays exact where c_out goes to 0.
    """

    sigma_data: float = 0.5

    def of(self, x0: torch.Tensor, eps: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (b * x0 / self.sigma_data - self.sigma_data * eps) / self._norm(b)

    def parts(
        self, prediction: torch.Tensor, z: torch.Tensor, a: torch.Tensor, b: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        shown, norm = self.network_input(z, a, b), self._norm(b)
        x0 = self.sigma_data * (self.sigma_data * shown + b * prediction) / norm
        return x0, (b * shown - self.sigma_data * prediction) / norm

    def network_input(self, z: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return z / self._norm(b)

    def noise_error_scale(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return self._norm(b) / self.sigma_data

    def _norm(self, b: torch.Tensor) -> torch.Tensor:
        return torch.sqrt(b.square() + self.sigma_data**2)

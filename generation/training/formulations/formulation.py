"""A formulation: what is trained and measured under one name, the loss family."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch

from generation.training.formulations.densities import CosMap, Density, LogitNormal, Mode, Uniform
from generation.training.formulations.processes import (
    Cosine,
    LatentDiffusionLinear,
    LogNormalNoise,
    Process,
    RectifiedFlow,
    UnscaledPicture,
)
from generation.training.formulations.targets import Noise, Preconditioned, Target, Velocity, VPrediction
from generation.training.formulations.weights import implied_weight

Predict = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""(network input (n, ...), network time (n,)) -> prediction (n, ...)."""


@dataclass(frozen=True)
class Formulation:
    """A forward process, what the network predicts, and how often training sees each time.

    Losses of different formulations are not comparable: `name` is stored beside every loss.
    """

    name: str
    process: Process
    target: Target
    density: Density = Uniform()

    def __post_init__(self) -> None:
        if isinstance(self.target, Preconditioned) and not isinstance(self.process, LogNormalNoise | UnscaledPicture):
            raise ValueError(f"{self.name}: EDM's preconditioning is for processes that leave the picture unscaled.")

    def sample_times(self, count: int, generator: torch.Generator) -> torch.Tensor:
        """Training times in (0, 1), float32, shape (count,), on the generator's device."""
        return self.density.sample(count, generator)

    def noised(self, latents: torch.Tensor, noise: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """z_t of the latents' shape; t (n,)."""
        a, b = self._coefficients(latents, t)
        return a * latents + b * noise

    def losses(self, predict: Predict, latents: torch.Tensor, noise: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Mean squared error against the target for each example.

        Latents and noise (n, ...), t (n,) on their device; returns (n,). Give float32 latents also under
        autocast: the error is taken in their precision, whatever the network answers in.
        """
        a, b = self._coefficients(latents, t)
        shown = self.target.network_input(a * latents + b * noise, a, b)
        predicted = predict(shown, self.process.network_time(t))
        target = self.target.of(latents, noise, a, b)
        return (predicted.to(target.dtype) - target).square().flatten(1).mean(dim=1)

    def validation_losses(
        self, predict: Predict, latents: torch.Tensor, noise: torch.Tensor, *, levels: int = 8
    ) -> tuple[float, ...]:
        """The mean loss at t = 1/levels, 2/levels, ..., (levels - 1)/levels, without gradients."""
        if levels < 2:
            raise ValueError(f"A validation loss needs at least 2 noise levels, not {levels}: t = 1 is left out.")
        times = [step / levels for step in range(1, levels)]
        with torch.no_grad():
            return tuple(
                self.losses(predict, latents, noise, latents.new_full((len(latents),), t)).mean().item() for t in times
            )

    def validation_loss(
        self, predict: Predict, latents: torch.Tensor, noise: torch.Tensor, *, levels: int = 8
    ) -> float:
        """The loss at `levels` times equidistant in t, averaged over all but t = 1 (SD3, section 5.3, Fig. 8).

        Latents, captions (inside `predict`) and noise must be the same fixed set for every checkpoint compared.
        """
        by_level = self.validation_losses(predict, latents, noise, levels=levels)
        return sum(by_level) / len(by_level)

    def parts(self, prediction: torch.Tensor, z: torch.Tensor, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The picture and the noise (x0, eps) that a prediction for z at times t (n,) stands for."""
        return self.target.parts(prediction, z, *self._coefficients(z, t))

    def weight(self, t: torch.Tensor) -> torch.Tensor:
        """w_t in SD3's general form, for which that loss is this formulation's; shape of t."""
        return implied_weight(self.process, self.target, self.density, t)

    def _coefficients(self, latents: torch.Tensor, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        a, b = self.process.coefficients(t)
        shape = (-1, *(1 for _ in latents.shape[1:]))
        return a.view(shape), b.view(shape)


_NUMBER = r"([+-]?(?:\d+\.?\d*|\.\d+))"
_LOGNORM = re.compile(rf"rf/lognorm\({_NUMBER},{_NUMBER}\)")
_MODE = re.compile(rf"rf/mode\({_NUMBER}\)")
_EDM = re.compile(rf"edm\({_NUMBER},{_NUMBER}\)")

_PLAIN: Final = {
    "rf": Formulation("rf", RectifiedFlow(), Velocity()),
    "rf/cosmap": Formulation("rf/cosmap", RectifiedFlow(), Velocity(), CosMap()),
    "eps/linear": Formulation("eps/linear", LatentDiffusionLinear(), Noise()),
    "v/linear": Formulation("v/linear", LatentDiffusionLinear(), VPrediction()),
    "eps/cos": Formulation("eps/cos", Cosine(), Noise()),
    "v/cos": Formulation("v/cos", Cosine(), VPrediction()),
    "edm/rf": Formulation("edm/rf", UnscaledPicture(RectifiedFlow()), Preconditioned()),
    "edm/cos": Formulation("edm/cos", UnscaledPicture(Cosine()), Preconditioned()),
}


def formulation(name: str) -> Formulation:
    """The formulation of that name, such as "rf/lognorm(0,1)" or "edm(-1.2,1.2)"; `.5` and `0.50` are the same number.

    Raises:
        ValueError: the name is not known, or its numbers are out of range.
    """
    spelled = name.replace(" ", "")
    if spelled in _PLAIN:
        return _PLAIN[spelled]
    if found := _LOGNORM.fullmatch(spelled):
        mean, deviation = map(float, found.groups())
        canonical = f"rf/lognorm({mean:g},{deviation:g})"
        return Formulation(canonical, RectifiedFlow(), Velocity(), LogitNormal(mean, deviation))
    if found := _MODE.fullmatch(spelled):
        scale = float(found[1])
        return Formulation(f"rf/mode({scale:g})", RectifiedFlow(), Velocity(), Mode(scale))
    if found := _EDM.fullmatch(spelled):
        mean, deviation = map(float, found.groups())
        return Formulation(f"edm({mean:g},{deviation:g})", LogNormalNoise(mean, deviation), Preconditioned())
    known = ", ".join([*_PLAIN, "rf/lognorm(m,s)", "rf/mode(s)", "edm(m,s)"])
    raise ValueError(f"There is no formulation {name!r}; choose one of {known}.")


FORMULATIONS: Final[dict[str, Formulation]] = {
    chosen.name: chosen
    for chosen in map(
        formulation,
        (
            "rf/lognorm(0,1)",
            "rf/lognorm(1,.6)",
            "rf/lognorm(.5,.6)",
            "rf/mode(1.29)",
            "rf/lognorm(.5,1)",
            "eps/linear",
            "rf/mode(1.75)",
            "rf/cosmap",
            "edm(0,.6)",
            "rf",
            "v/linear",
            "edm(.6,1.2)",
            "v/cos",
            "edm/cos",
            "edm/rf",
            "edm(-1.2,1.2)",
        ),
    )
}
"""The rows of SD3's Table 1, best first."""

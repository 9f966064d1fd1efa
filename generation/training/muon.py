"""Muon in single precision: torch's own runs its matrix products in bfloat16, ten times slower where a CPU has none."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch

# Coefficients of the quintic iteration (Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks").
QUINTIC = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """Nesterov momentum whose update is orthogonalised, scaled to the size of an AdamW update (0.2 sqrt(max(m, n))).

    A convolution's kernel is a matrix with a row per output channel. Matrices of one shape are orthogonalised together.
    Raises ValueError for vectors.
    """

    def __init__(
        self, parameters: Iterable[torch.nn.Parameter], *, lr: float | torch.Tensor, momentum: float = 0.95
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})
        if any(p.ndim < 2 for group in self.param_groups for p in group["params"]):
            raise ValueError("Muon updates matrices and kernels only; give vectors to AdamW.")

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One update of every matrix that has a gradient."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[torch.nn.Parameter]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape[parameter.flatten(1).shape].append(parameter)
            for shape, parameters in by_shape.items():
                directions = [self._direction(parameter, group["momentum"]).flatten(1) for parameter in parameters]
                # As a product: the rate is a tensor where the step is recorded as a CUDA graph.
                updates = orthogonalise(torch.stack(directions)) * (group["lr"] * 0.2 * math.sqrt(max(shape)))
                for parameter, update in zip(parameters, updates, strict=True):
                    parameter.sub_(update.view_as(parameter))

    def _direction(self, parameter: torch.nn.Parameter, momentum: float) -> torch.Tensor:
        gradient = parameter.grad
        if gradient is None:
            raise ValueError("Muon moves only what has a gradient.")
        state = self.state[parameter]
        if "average" not in state:
            state["average"] = torch.zeros_like(parameter)
        average: torch.Tensor = state["average"].lerp_(gradient, 1 - momentum)
        return gradient.lerp(average, momentum)


def orthogonalise(matrices: torch.Tensor) -> torch.Tensor:
    """Matrices (k, m, n) with their singular values moved near 1 (between about .7 and 1.2)."""
    wide = matrices.shape[1] <= matrices.shape[2]
    x = matrices if wide else matrices.mT
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    a, b, c = QUINTIC
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: torch.Tensor = x if wide else x.mT
    return result

"""A training loop that can be stopped and resumed at any step, and that shows where it is."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from generation.training.muon import Muon

WARM_UP_STEPS = 50
SECONDS_BETWEEN_SAVES = 60.0
AVERAGE_EXPONENT = (
    12.0  # the average reaches back over about a tenth of all steps (Karras et al. 2312.02696, section 3.1)
)

StepLoss = Callable[[torch.Generator, int], torch.Tensor]
"""(generator of this step, step number) -> scalar loss."""


@dataclass(frozen=True)
class Progress:
    """What a training run reports: steps done of the budget, the recent loss, seconds left at the recent pace."""

    step: int
    steps: int
    loss: float
    seconds_left: float


class Trainer:
    """Muon for the matrices, AdamW for the rest, and a moving average of all weights.

    The learning rate is constant after the warm-up; over the last `cool_down` of the budget it falls linearly to zero.
    Without a cool-down the weights at a step do not depend on the budget, so an earlier step of a longer run is the run
    of a smaller budget.

    The state file holds weights, average, optimiser and step, so a killed run continues with the very next step; every
    step draws from its own seeded generator, so a resumed run sees the same data as an uninterrupted one.
    """

    def __init__(
        self, module: nn.Module, *, state_file: Path, learning_rate: float, seed: int, cool_down: float = 0.0
    ) -> None:
        self.module = module
        self.state_file = state_file
        self.seed = seed
        self.step = 0
        self.warm_from = 0
        matrices = [p for name, p in module.named_parameters() if is_matrix(name, p)]
        others = [p for name, p in module.named_parameters() if not is_matrix(name, p)]
        self.optimizers: list[torch.optim.Optimizer] = []
        if others:
            self.optimizers.append(torch.optim.AdamW(others, lr=learning_rate, weight_decay=0.0))
        if matrices:
            self.optimizers.append(Muon(matrices, lr=learning_rate))
        self.learning_rate = learning_rate
        self.cool_down = cool_down
        self.average = {name: value.detach().clone() for name, value in module.state_dict().items()}
        if state_file.exists():
            self._load()

    def run(
        self, loss_of: StepLoss, *, steps: int, save_average_at: dict[int, Path] | None = None
    ) -> Iterator[Progress]:
        """Train until `steps` steps are done, yielding about every ten seconds; saves as it goes and when closed."""
        wanted = save_average_at or {}
        started, first, saved, reported, recent = time.monotonic(), self.step, time.monotonic(), 0.0, float("nan")
        try:
            while self.step < steps:
                loss = self._one_step(loss_of, steps)
                recent = loss if recent != recent else 0.98 * recent + 0.02 * loss
                if path := wanted.get(self.step):
                    torch.save(self.average, path)
                now = time.monotonic()
                if now - saved > SECONDS_BETWEEN_SAVES:
                    self.save()
                    saved = now
                if now - reported > 10 or self.step == steps:
                    reported = now
                    pace = (now - started) / (self.step - first)
                    yield Progress(step=self.step, steps=steps, loss=recent, seconds_left=pace * (steps - self.step))
        finally:
            self.save()

    def _one_step(self, loss_of: StepLoss, steps: int) -> float:
        warm = min(1.0, (self.step - self.warm_from + 1) / WARM_UP_STEPS)
        cool = min(1.0, (steps - self.step) / (self.cool_down * steps)) if self.cool_down else 1.0
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.learning_rate * warm * cool
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.step)
        loss = loss_of(generator, self.step)
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        decay = (1 - 1 / self.step) ** (AVERAGE_EXPONENT + 1)
        with torch.no_grad():
            for name, value in self.module.state_dict().items():
                if value.dtype.is_floating_point:
                    self.average[name].lerp_(value, 1 - decay)
                else:
                    self.average[name].copy_(value)
        return loss.item()

    def save(self) -> None:
        """Write the state under a temporary name, then rename, so that a kill never leaves half a file."""
        state = {
            "step": self.step,
            "warm_from": self.warm_from,
            "weights": self.module.state_dict(),
            "average": self.average,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }
        temporary = self.state_file.with_suffix(".tmp")
        torch.save(state, temporary)
        temporary.replace(self.state_file)

    def _load(self) -> None:
        state = torch.load(self.state_file, weights_only=True)
        self.step = state["step"]
        self.module.load_state_dict(state["weights"])
        self.average = state["average"]
        if not state["optimizers"]:  # recovered from shipped weights: the optimisers begin anew
            self.warm_from = self.step
            return
        self.warm_from = state.get("warm_from", 0)
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)


def is_matrix(name: str, parameter: nn.Parameter) -> bool:
    """Whether Muon moves it: matrices and kernels, but no tables."""
    return parameter.ndim in (2, 4) and "embed" not in name and min(parameter.flatten(1).shape) >= 8

"""A whole training step recorded once as a CUDA graph: small networks otherwise wait for their thousand launches."""

from collections.abc import Callable, Iterator

import torch
from torch import nn

from generation.training.loop import AVERAGE_EXPONENT, WARM_UP_STEPS, Progress, is_matrix
from generation.training.muon import Muon

STEPS_BETWEEN_REPORTS = 500
STEPS_BEFORE_RECORDING = 3


class RecordedTrainer:
    """What `Trainer` does to a module on its device, without states in between: a run of minutes is simply repeated.

    `loss_of` takes nothing and returns a scalar; it draws from the device's own generator, which a replayed graph moves
    on. The learning rate falls linearly to zero over the last `cool_down` of the steps. On a CPU every step is done
    step by step, so that tests see the same arithmetic.
    """

    def __init__(self, module: nn.Module, loss_of: Callable[[], torch.Tensor], *, learning_rate: float) -> None:
        self.parameters = list(module.parameters())
        device = self.parameters[0].device
        self.average = [parameter.detach().clone() for parameter in self.parameters]
        self._loss_of = loss_of
        self._learning_rate = learning_rate
        self._rate = torch.zeros((), device=device)
        self._forgets = torch.zeros((), device=device)
        self._loss = torch.zeros((), device=device)
        matrices = [p for name, p in module.named_parameters() if is_matrix(name, p)]
        others = [p for name, p in module.named_parameters() if not is_matrix(name, p)]
        is_recorded = device.type == "cuda"
        self._optimizers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(others, lr=self._rate, weight_decay=0.0, capturable=is_recorded, foreach=is_recorded),
            Muon(matrices, lr=self._rate),
        ]
        self._graph = torch.cuda.CUDAGraph() if is_recorded else None

    def run(self, *, steps: int, cool_down: float) -> Iterator[Progress]:
        """Train for `steps`, yielding now and then."""
        if self._graph:
            self._record(self._graph)
        for done in range(steps):
            self._set_rates(done=done, steps=steps, cool_down=cool_down)
            if self._graph:
                self._graph.replay()
            else:
                self._act()
            if (done + 1) % STEPS_BETWEEN_REPORTS == 0 or done + 1 == steps:
                yield Progress(done + 1, steps, float(self._loss), float("nan"))

    def take_average(self) -> None:
        """The averaged weights into the module."""
        with torch.no_grad():
            for parameter, average in zip(self.parameters, self.average, strict=True):
                parameter.copy_(average)

    def _set_rates(self, *, done: int, steps: int, cool_down: float) -> None:
        warm = min(1.0, (done + 1) / WARM_UP_STEPS)
        cool = min(1.0, (steps - done) / (cool_down * steps)) if cool_down else 1.0
        self._rate.fill_(self._learning_rate * warm * cool)
        self._forgets.fill_(1 - (1 - 1 / (done + 1)) ** (AVERAGE_EXPONENT + 1))

    def _act(self) -> None:
        loss = self._loss_of()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for optimizer in self._optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)
        with torch.no_grad():
            self._loss.lerp_(loss.detach().float(), 0.02)
            ways = torch._foreach_sub([p.detach() for p in self.parameters], self.average)
            torch._foreach_mul_(ways, self._forgets)
            torch._foreach_add_(self.average, ways)

    def _record(self, graph: torch.cuda.CUDAGraph) -> None:
        """The steps that warm up change nothing: their learning rate is zero, and the moments begin anew after them."""
        self._rate.zero_()
        self._forgets.zero_()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(STEPS_BEFORE_RECORDING):
                self._act()
        torch.cuda.current_stream().wait_stream(side)
        with torch.cuda.graph(graph):
            self._act()
        for optimizer in self._optimizers:
            for state in optimizer.state.values():
                for value in state.values():
                    if isinstance(value, torch.Tensor):
                        value.zero_()
        self._loss.zero_()

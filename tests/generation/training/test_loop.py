"""The training loop: a stopped run goes on as if it had never stopped."""

from pathlib import Path

import pytest
import torch
from torch import nn

from generation.training.loop import Trainer


def make_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))


def trainer(folder: Path) -> Trainer:
    return Trainer(make_model(), state_file=folder / "state.pt", learning_rate=1e-2, seed=3)


def train(one: Trainer, steps: int, *, stop_at: int | None = None, early: dict[int, Path] | None = None) -> Trainer:
    def loss_of(generator: torch.Generator, step: int) -> torch.Tensor:
        if step == stop_at:
            raise KeyboardInterrupt
        x = torch.randn(16, 4, generator=generator)
        loss: torch.Tensor = (one.module(x) - x.sum(1, keepdim=True)).pow(2).mean()
        return loss

    for _ in one.run(loss_of, steps=steps, save_average_at=early):
        pass
    return one


def test_an_interrupted_run_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    straight = train(trainer(whole), 12)
    with pytest.raises(KeyboardInterrupt):
        train(trainer(parts), 12, stop_at=7)
    resumed = trainer(parts)
    assert resumed.step == 7
    train(resumed, 12)
    for name, value in straight.average.items():
        assert torch.equal(value, resumed.average[name]), name


def test_training_lowers_the_loss_and_keeps_the_early_average(tmp_path: Path) -> None:
    one = trainer(tmp_path)
    losses: list[float] = []

    def loss_of(generator: torch.Generator, step: int) -> torch.Tensor:
        x = torch.randn(64, 4, generator=generator)
        loss: torch.Tensor = (one.module(x) - x.sum(1, keepdim=True)).pow(2).mean()
        losses.append(loss.item())
        return loss

    for _ in one.run(loss_of, steps=150, save_average_at={10: tmp_path / "early.pt"}):
        pass
    assert sum(losses[-10:]) < 0.3 * sum(losses[:10])
    early = torch.load(tmp_path / "early.pt", weights_only=True)
    assert not torch.equal(early["0.weight"], one.average["0.weight"])

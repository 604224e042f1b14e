"""Small networks and calls that the training tests share."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mase.runtime.data import make_data
from mase.runtime.trainer import Metrics, TrainConfig, fit


def toy(seed: int = 0) -> nn.Module:
    """The `toy` of the first documents, in plain torch."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            *(nn.Flatten(), nn.Linear(4, 100), nn.ReLU(), nn.Linear(100, 100), nn.ReLU(), nn.Linear(100, 2))
        )


class Noisy(nn.Module):
    """Dropout and running statistics: state and noise that a resumed run has to get right."""

    def __init__(self, fatal: int | None = None) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.first = nn.Linear(4, 32)
            self.norm = nn.BatchNorm1d(32)
            self.drop = nn.Dropout(0.3)
            self.last = nn.Linear(32, 2)
        self.fatal = fatal
        self.steps = 0

    def forward(self, x: Tensor) -> Tensor:
        self.steps += self.training
        if self.steps == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.last(self.drop(self.norm(self.first(x.flatten(1))).relu()))


SETTINGS: dict[str, Any] = {
    "max_epochs": 6,
    "learning_rate": 1e-2,
    "weight_decay": 1e-3,
    "optimizer": "adamw",
    "scheduler": "cosine",
    "warmup": 3,
    "report_to": "none",
    "progress": False,
}


def train(
    folder: Path,
    module: nn.Module | None = None,
    *,
    data: Any = None,
    cut_off: bool = False,
    **settings: Any,
) -> Metrics:
    """`fit` with settings that make a run depend on everything that a checkpoint has to hold."""
    config = TrainConfig(**{**SETTINGS, **settings})
    return fit(module or Noisy(), data or make_data("toy-tiny"), config, folder, cut_off=cut_off)


def equal(a: nn.Module, b: nn.Module) -> bool:
    """Whether two modules hold the same bits."""
    left, right = a.state_dict(), b.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)

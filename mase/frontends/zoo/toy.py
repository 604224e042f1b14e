"""The toy models: four numbers in, the sign of their sum out."""

from __future__ import annotations

import torch
from torch import nn

from mase.frontends.zoo import register_model

__all__ = ["Toy", "ToyTiny"]

_INPUTS = {"x": "f32[N,1,2,2]"}


@register_model("toy", inputs=_INPUTS)
class Toy(nn.Module):
    """Three linear layers.

    Args:
        hidden: the width of the two hidden layers.
    """

    def __init__(self, hidden: int = 100) -> None:
        super().__init__()
        self.fc1 = nn.Linear(4, hidden)
        self.relu1 = nn.ReLU()
        self.fc2 = nn.Linear(hidden, hidden)
        self.relu2 = nn.ReLU()
        self.fc3 = nn.Linear(hidden, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give the scores of two classes, ``[N, 2]``, for ``[N, 1, 2, 2]``."""
        x = x.view(-1, 4)
        x = self.relu1(self.fc1(x))
        x = self.relu2(self.fc2(x))
        return self.fc3(x)


@register_model("toy-tiny", inputs=_INPUTS)
class ToyTiny(nn.Module):
    """Two linear layers of two neurons, small enough to read every number."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(4, 2)
        self.relu1 = nn.ReLU()
        self.fc2 = nn.Linear(2, 2)
        self.relu2 = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give the scores of two classes, ``[N, 2]``, for ``[N, 1, 2, 2]``."""
        x = x.view(-1, 4)
        x = self.relu1(self.fc1(x))
        return self.relu2(self.fc2(x))

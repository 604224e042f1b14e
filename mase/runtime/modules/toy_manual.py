"""A model written by hand of integer layers, each with formats of its own; ``zoo:toy-manual``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from mase.runtime.modules.integer import LinearInteger

__all__ = ["ToyManual"]

_CONFIG: dict[str, dict[str, Any]] = {
    "fc1": {"data_in": "fixed<8,4>", "weight": "fixed<8,6>", "bias": "fixed<8,6>"},
    "fc2": {"data_in": "fixed<8,4>", "weight": "fixed<6,5>", "bias": "fixed<8,6>"},
    "fc3": {"data_in": "fixed<8,4>", "weight": "fixed<8,6>", "bias": "fixed<8,6>"},
}


class ToyManual(nn.Module):
    """The layers of ``zoo:toy`` as `LinearInteger` modules.

    Args:
        hidden: the width of the two hidden layers.
        config: the formats of each layer by its name, in the style of `LinearInteger`; a layer without
            an entry keeps its own.

    Example:
        >>> import torch
        >>> ToyManual(hidden=8)(torch.zeros(3, 1, 2, 2)).shape
        torch.Size([3, 2])
    """

    inputs: ClassVar[dict[str, str]] = {"x": "f32[N,1,2,2]"}

    def __init__(self, hidden: int = 100, config: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        super().__init__()
        formats = _CONFIG | {layer: dict(entry) for layer, entry in (config or {}).items()}
        self.fc1 = LinearInteger(4, hidden, config=formats["fc1"])
        self.relu1 = nn.ReLU()
        self.fc2 = LinearInteger(hidden, hidden, config=formats["fc2"])
        self.relu2 = nn.ReLU()
        self.fc3 = LinearInteger(hidden, 2, config=formats["fc3"])

    def forward(self, x: Tensor) -> Tensor:
        """Give the scores of two classes, ``[N, 2]``, for ``[N, 1, 2, 2]``."""
        x = x.view(-1, 4)
        x = self.relu1(self.fc1(x))
        x = self.relu2(self.fc2(x))
        return self.fc3(x)

"""LeNet for 28x28 grey images: MNIST and Fashion-MNIST."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from mase.frontends.zoo import register_model

__all__ = ["LeNet"]


@register_model("lenet", inputs={"x": "f32[N,1,28,28]"})
class LeNet(nn.Module):
    """Two 5x5 convolutions with pooling, then two linear layers (LeCun et al. 1998, with ReLU).

    Args:
        channels: of the two convolutions.
        hidden: the width of the hidden linear layer.
        classes: how many scores it gives.
        dropout: the share of features that training leaves out before the linear layers.
    """

    def __init__(
        self,
        channels: Sequence[int] = (16, 32),
        hidden: int = 128,
        classes: int = 10,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        first, second = channels
        self.features = nn.Sequential(
            nn.Conv2d(1, first, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(first, second, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.flatten = nn.Flatten()
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(second * 25, hidden),
            nn.ReLU(),
            nn.Linear(hidden, classes),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give the scores, ``[N, classes]``, for ``[N, 1, 28, 28]``."""
        return self.classifier(self.flatten(self.features(x)))

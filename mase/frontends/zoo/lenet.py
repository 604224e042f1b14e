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
        batch_norm: whether batch norm follows each convolution; `fold-batchnorm` takes it out again.
    """

    def __init__(
        self,
        channels: Sequence[int] = (16, 32),
        hidden: int = 128,
        classes: int = 10,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        first, second = channels
        self.features = nn.Sequential(
            *_convolution(1, first, padding=2, batch_norm=batch_norm),
            *_convolution(first, second, padding=0, batch_norm=batch_norm),
        )
        self.flatten = nn.Flatten()
        self.classifier = nn.Sequential(
            nn.Linear(second * 25, hidden),
            nn.ReLU(),
            nn.Linear(hidden, classes),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give the scores, ``[N, classes]``, for ``[N, 1, 28, 28]``."""
        return self.classifier(self.flatten(self.features(x)))


def _convolution(inside: int, outside: int, *, padding: int, batch_norm: bool) -> list[nn.Module]:
    convolution = nn.Conv2d(inside, outside, 5, padding=padding, bias=not batch_norm)
    norm = [nn.BatchNorm2d(outside)] if batch_norm else []
    return [convolution, *norm, nn.ReLU(), nn.MaxPool2d(2)]

"""Small nets for scikit-learn's digits: 8x8 grey values, ten classes."""

from __future__ import annotations

import torch
from torch import nn

from mase.frontends.zoo import register_model

__all__ = ["DigitsCnn", "DigitsMlp", "DigitsResidual"]

_INPUTS = {"x": "f32[N,1,8,8]"}
_CLASSES = 10


@register_model("digits-mlp", inputs=_INPUTS)
class DigitsMlp(nn.Module):
    """A multilayer perceptron.

    Args:
        hidden: the width of the two hidden layers.
    """

    def __init__(self, hidden: int = 64) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.layers = nn.Sequential(
            nn.Linear(64, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, _CLASSES),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give the scores of ten classes, ``[N, 10]``, for ``[N, 1, 8, 8]``."""
        return self.layers(self.flatten(x))


@register_model("digits-cnn", inputs=_INPUTS)
class DigitsCnn(nn.Module):
    """Three convolutions with batch norm, then a linear layer.

    Args:
        channels: of the first convolution; the others have twice as many.
    """

    def __init__(self, channels: int = 16) -> None:
        super().__init__()
        wide = 2 * channels
        self.features = nn.Sequential(
            *_block(1, channels),
            *_block(channels, wide),
            nn.MaxPool2d(2),
            *_block(wide, wide),
            nn.MaxPool2d(2),
        )
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(wide * 4, _CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give the scores of ten classes, ``[N, 10]``, for ``[N, 1, 8, 8]``."""
        return self.head(self.dropout(self.flatten(self.features(x))))


@register_model("digits-residual", inputs=_INPUTS)
class DigitsResidual(nn.Module):
    """Depthwise separable convolutions with shortcuts, and an average over the image.

    Args:
        channels: of all convolutions.
    """

    def __init__(self, channels: int = 32) -> None:
        super().__init__()
        self.stem = nn.Sequential(*_block(1, channels))
        self.blocks = nn.Sequential(_Separable(channels), nn.MaxPool2d(2), _Separable(channels))
        self.pool = nn.AvgPool2d(4)
        self.flatten = nn.Flatten()
        self.head = nn.Linear(channels, _CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give the scores of ten classes, ``[N, 10]``, for ``[N, 1, 8, 8]``."""
        return self.head(self.flatten(self.pool(self.blocks(self.stem(x)))))


class _Separable(nn.Module):
    """A depthwise convolution and a pointwise one, beside a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Sequential(*_block(channels, channels, groups=channels))
        self.pointwise = nn.Sequential(nn.Conv2d(channels, channels, 1, bias=False), nn.BatchNorm2d(channels))
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(x + self.pointwise(self.depthwise(x)))


def _block(inside: int, outside: int, *, groups: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(inside, outside, 3, padding=1, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(outside), nn.ReLU()]

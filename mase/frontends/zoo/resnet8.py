"""ResNet-8 for 32x32 colour images: CIFAR."""

from __future__ import annotations

import torch
from torch import nn

from mase.frontends.zoo import register_model

__all__ = ["ResNet8"]


@register_model("resnet8", inputs={"x": "f32[N,3,32,32]"})
class ResNet8(nn.Module):
    """A stem and three residual blocks, as in MLPerf Tiny (78,000 parameters).

    Args:
        channels: of the first block; the next ones have twice and four times as many.
        classes: how many scores it gives.
    """

    def __init__(self, channels: int = 16, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(*_convolution(3, channels), nn.ReLU())
        self.blocks = nn.Sequential(
            _Block(channels, channels, 1),
            _Block(channels, 2 * channels, 2),
            _Block(2 * channels, 4 * channels, 2),
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.head = nn.Linear(4 * channels, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give the scores, ``[N, classes]``, for ``[N, 3, 32, 32]``."""
        return self.head(self.flatten(self.pool(self.blocks(self.stem(x)))))


class _Block(nn.Module):
    """Two convolutions beside a shortcut, which is a 1x1 convolution where the shape changes."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_convolution(inside, outside, stride=stride),
            nn.ReLU(),
            *_convolution(outside, outside),
        )
        self.shortcut = (
            nn.Identity()
            if inside == outside
            else nn.Sequential(*_convolution(inside, outside, size=1, stride=stride))
        )
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.body(x) + self.shortcut(x))


def _convolution(inside: int, outside: int, *, size: int = 3, stride: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(inside, outside, size, stride, padding=size // 2, bias=False)
    return [convolution, nn.BatchNorm2d(outside)]

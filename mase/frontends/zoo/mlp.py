"""Multilayer perceptrons for tables."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from mase.frontends.zoo import register_model

__all__ = ["JetTagging", "Mlp"]


@register_model("mlp", inputs={"x": "f32[N,16]"})
class Mlp(nn.Module):
    """Linear layers with ReLU between them.

    Args:
        features: how many numbers a row has.
        hidden: the widths of the hidden layers.
        outputs: how many numbers it gives: scores of classes, or 1 for a regression.
        batch_norm: whether batch norm follows each hidden layer.
    """

    def __init__(
        self,
        features: int = 16,
        hidden: Sequence[int] = (64, 64),
        outputs: int = 2,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        self.inputs = {"x": f"f32[N,{features}]"}
        layers: list[nn.Module] = []
        for inside, outside in pairwise([features, *hidden]):
            layers += [
                nn.Linear(inside, outside),
                *([nn.BatchNorm1d(outside)] if batch_norm else []),
                nn.ReLU(),
            ]
        self.layers = nn.Sequential(*layers, nn.Linear([features, *hidden][-1], outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give ``[N, outputs]`` for ``[N, features]``."""
        return self.layers(x)


@register_model("jet-tagging", inputs={"x": "f32[N,16]"})
class JetTagging(Mlp):
    """The jet tagger of hls4ml, 16-64-32-32-5 (Duarte et al. 2018, arXiv:1804.06913).

    Args:
        features: how many numbers a row has.
        classes: how many scores it gives.
    """

    def __init__(self, features: int = 16, classes: int = 5) -> None:
        super().__init__(features, (64, 32, 32), classes)

"""One architecture: how to make a small model of it, and what to call it with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

__all__ = ["Architecture"]


@dataclass(frozen=True)
class Architecture:
    """A model and its arguments.

    Args:
        name: what it is called.
        make: builds the model; its weights are random.
        example: the keyword arguments for a batch and a length.
        lengths: by input, the names of the dimensions that vary beside the batch.
        others: further sizes (batch, length) that the graph must be right at.
        branches: whether the model takes another path in training, which a graph of its evaluation has not.
        size: the sizes that the graph is captured at.
    """

    name: str
    make: Callable[[], nn.Module]
    example: Callable[[int, int], dict[str, Any]]
    lengths: Mapping[str, Mapping[int, str]] = field(default_factory=dict[str, Mapping[int, str]])
    others: tuple[tuple[int, int], ...] = ((3, 10), (3, 7))
    branches: bool = False
    size: tuple[int, int] = (2, 10)

    def build(self) -> nn.Module:
        """The model, always with the same weights."""
        torch.manual_seed(0)
        return self.make()

    def arguments(self, batch: int, length: int) -> dict[str, Any]:
        """Keyword arguments, always the same for the same sizes."""
        torch.manual_seed(1)
        return self.example(batch, length)

    def dynamic(self) -> dict[str, dict[int, str]]:
        """What `mase.trace` is told: the batch of every input varies, and what `lengths` names."""
        from mase.frontends.arguments import Arguments

        tensors = Arguments(self.build(), (), self.arguments(*self.size)).tensors
        return {a.name: {0: "N", **self.lengths.get(a.name, {})} for a in tensors}

"""Stochastic depth as a module."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

__all__ = ["DropPath"]


class DropPath(nn.Module):
    """Zero samples at random in training; the arguments are those of `mase.ir.ops.drop_path.DropPath`.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> DropPath(0.5)(torch.ones(4, 1)).flatten()
        tensor([0., 0., 2., 0.])
    """

    def __init__(
        self,
        p: float,
        whole: bool = False,
        scaled: bool = True,
        draw: Literal["bernoulli", "floor"] = "bernoulli",
    ) -> None:
        super().__init__()
        self.p, self.whole, self.scaled, self.draw = p, whole, scaled, draw

    def forward(self, data_in: Tensor) -> Tensor:
        """The input in evaluation; in training each sample, scaled, or zeros."""
        if not self.training or self.p == 0:
            return data_in
        keep = 1 - self.p
        shape = (1 if self.whole else data_in.shape[0], *(1,) * (data_in.dim() - 1))
        if self.draw == "floor":
            kept = torch.rand(shape, dtype=data_in.dtype, device=data_in.device).add_(keep).floor_()
            return (data_in.div(keep) if self.scaled else data_in) * kept
        kept = data_in.new_empty(shape).bernoulli_(keep)
        return data_in * (kept.div_(keep) if self.scaled and keep else kept)

    def extra_repr(self) -> str:
        return f"p={self.p}"

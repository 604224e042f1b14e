"""Rotary embedding of positions, exact in fixed point."""

from __future__ import annotations

import torch
from torch import Tensor

from mase.ir.ops import attention
from mase.runtime.modules import plain
from mase.runtime.modules.base import QuantizedModule
from mase.runtime.modules.factory import arithmetic
from mase.runtime.modules.grid import require_exact

__all__ = ["RotaryEmbedding"]


@arithmetic(attention.RotaryEmbedding, plain.RotaryEmbedding)
class RotaryEmbedding(QuantizedModule):
    """``data_in * cos + rotate(data_in) * sin``."""

    def forward(self, data_in: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """The rotated features, for angles that broadcast over ``data_in``."""
        operands = {"data_in": data_in, "cos": cos, "sin": sin}
        return self.evaluate(self._exact(), super().forward, operands)

    def _exact(self) -> torch.dtype | None:
        x, cos, sin = (self.grid(role) for role in self.formats)
        if self.training or x is None or cos is None or sin is None:
            return None
        products = x.times(cos), x.times(sin)
        return require_exact(self.op_class.name, x, cos, sin, *products, products[0].plus(products[1]))

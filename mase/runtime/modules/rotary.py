"""Rotary embedding of positions, exact in fixed point."""

from __future__ import annotations

import torch
from torch import Tensor

from mase.ir.ops import attention
from mase.runtime.exact.alignment import ANGLE_BITS
from mase.runtime.modules import plain
from mase.runtime.modules.base import QuantizedModule
from mase.runtime.modules.factory import arithmetic
from mase.runtime.modules.grid import require_exact
from mase.runtime.modules.scaled import aligned, single_scale

__all__ = ["RotaryEmbedding"]


@arithmetic(attention.RotaryEmbedding, plain.RotaryEmbedding)
class RotaryEmbedding(QuantizedModule):
    """``data_in * cos + rotate(data_in) * sin``."""

    def forward(self, data_in: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """The rotated features, for angles that broadcast over ``data_in``."""
        operands = {"data_in": data_in, "cos": cos, "sin": sin}
        return self.evaluate(self._exact(), self._compute, operands)

    def _compute(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Of codes, where scales are known: products of two scales would not be exact."""
        by = single_scale(self, "data_in", x.device) if self.precise else None
        found = aligned(self, ("cos", "sin"), ANGLE_BITS)
        if by is None or found is None:
            return super().forward(x, cos, sin)
        scale, (of_cos, of_sin), factors = found
        angles = (cos / of_cos).round() * factors[0], (sin / of_sin).round() * factors[1]
        return super().forward((x / by).round(), *angles) * (by * scale)

    def _exact(self) -> torch.dtype | None:
        x, cos, sin = (self.grid(role) for role in self.formats)
        if self.training or x is None or cos is None or sin is None:
            return None
        products = x.times(cos), x.times(sin)
        return require_exact(self.op_class.name, x, cos, sin, *products, products[0].plus(products[1]))

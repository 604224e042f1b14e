"""Tensors side by side: concatenation and the cache of keys and values, exact in every family."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from mase.ir.ops import attention, tensor
from mase.runtime.modules.base import QuantizedModule
from mase.runtime.modules.factory import arithmetic
from mase.runtime.modules.grid import require_exact
from mase.runtime.modules.plain import Concat as PlainConcat
from mase.runtime.modules.plain import KVCache as PlainKVCache

__all__ = ["Concat", "Joining", "KVCache"]


class Joining(QuantizedModule):
    """Tensors one after the other along ``dim``."""

    def join(self, *tensors: Tensor) -> Tensor:
        """The float op on ready operands."""
        return torch.cat(tensors, cast(Any, self).dim)

    def joined(self, *operands: tuple[str, Tensor]) -> Tensor:
        """The result for operands, each with its role."""
        grids = [self.grid(role) for role, _ in operands]
        known = [grid for grid in grids if grid is not None]
        exact = (
            None if self.training or len(known) < len(grids) else require_exact(self.op_class.name, *known)
        )
        return self.evaluate(exact, self.join, operands)


@arithmetic(tensor.Concat, PlainConcat)
class Concat(Joining):
    """All in one format."""

    def forward(self, *data_in: Tensor) -> Tensor:
        """The tensors along ``dim``."""
        return self.joined(*(("data_in", x) for x in data_in))


@arithmetic(attention.KVCache, PlainKVCache)
class KVCache(Joining):
    """What was cached, and what is new."""

    def forward(self, past: Tensor, data_in: Tensor) -> Tensor:
        """Both along the dimension of positions."""
        return self.joined(("past", past), ("data_in", data_in))

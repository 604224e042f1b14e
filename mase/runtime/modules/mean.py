"""The mean over dimensions: the exact sum, times a fixed-point ``1/n``."""

from __future__ import annotations

import math
from typing import Any, cast

from torch import Tensor

from mase.ir.ops import tensor
from mase.runtime.modules import plain
from mase.runtime.modules.average import Average, Factor, factor_of
from mase.runtime.modules.factory import arithmetic

__all__ = ["Mean"]


@arithmetic(tensor.Mean, plain.Mean)
class Mean(Average):
    """One window that holds everything in ``dims``."""

    def averaged(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(shape[d] for d in self._dims(len(shape)))

    def factor(self, shape: tuple[int, ...], width: int) -> Factor:
        return factor_of((((0, math.prod(self.averaged(shape))),),), None, width)

    def sums(self, x: Tensor) -> Tensor:
        dims = self._dims(x.dim())
        return x.sum(dims, keepdim=cast(Any, self).keepdim) if dims else x

    def _dims(self, rank: int) -> tuple[int, ...]:
        dims = cast(Any, self).dims
        return tuple(range(rank) if dims is None else dims)

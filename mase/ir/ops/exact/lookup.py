"""Rows of a table by index."""

from __future__ import annotations

from typing import Any

from mase.ir.formats.code import Code
from mase.ir.op import register_op
from mase.ir.ops.exact.base import ExactOp, codes
from mase.ir.ops.exact.interval import Interval
from mase.ir.types import TensorType, Type

__all__ = ["Embedding"]


@register_op("int.embedding")
class Embedding(ExactOp):
    """Rows of ``weight`` (``[num, dim]``, codes of ``format``) by index."""

    format: Code

    def infer(self, indices: TensorType, *, weight: TensorType) -> Type:
        i, w = codes(indices, "indices"), codes(weight, "weight", 2)
        return TensorType(self.format, (*i.shape, w.shape[1]))

    def bounds(self, *operands: Interval, **roles: Any) -> Interval:
        weight = roles["weight"]
        return Interval(int(weight.min()), int(weight.max()))

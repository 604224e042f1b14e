"""Products with the weights of many experts, each for its own rows."""

from __future__ import annotations

from mase.ir.op import Op, register_op
from mase.ir.ops.shapes import same, tensor
from mase.ir.types import TensorType, Type

__all__ = ["GroupedMatMul"]


@register_op("tensor.grouped_matmul")
class GroupedMatMul(Op):
    """``data_in[a:b] @ other[e]`` for the rows of each expert, which are sorted by expert.

    ``data_in`` is ``[rows, in]``, ``other`` ``[experts, in, out]``, and ``ends[e]`` (integers) is the row
    after the last one of expert ``e``. Rows after the last end are zero.
    """

    def infer(self, data_in: TensorType, other: TensorType, ends: TensorType) -> Type:
        x, w = tensor(data_in, "data_in", 2), tensor(other, "other", 3)
        same(w.shape[1], x.shape[1], "features of data_in")
        same(w.shape[0], tensor(ends, "ends", 1).shape[0], "number of ends")
        return x.with_shape((x.shape[0], w.shape[2]))

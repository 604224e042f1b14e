"""Selective state spaces (Mamba, arXiv:2312.00752)."""

from __future__ import annotations

from mase.ir.op import Op, register_op
from mase.ir.ops.shapes import same, tensor
from mase.ir.types import TensorType, TupleType, Type

__all__ = ["SelectiveScan"]


@register_op("nn.selective_scan")
class SelectiveScan(Op):
    """The recurrence ``state = exp(step * a) * state + step * b * x``, ``y = c . state``, over a sequence.

    The input is ``[batch, channels, length]``, as are ``step`` and the result; ``a`` is
    ``[channels, states]``, ``b`` and ``c`` are ``[batch, states, length]``. Gives ``(result, last state)``.
    """

    def infer(
        self, data_in: TensorType, step: TensorType, a: TensorType, b: TensorType, c: TensorType
    ) -> Type:
        x, decay = tensor(data_in, "data_in", 3), tensor(a, "a", 2)
        same(x.shape[1], decay.shape[0], "channels of a")
        for operand, what in ((b, "b"), (c, "c")):
            same(decay.shape[1], tensor(operand, what, 3).shape[1], f"states of {what}")
        same(x.shape[1], tensor(step, "step", 3).shape[1], "channels of step")
        return TupleType((x, x.with_shape((*x.shape[:2], decay.shape[1]))))

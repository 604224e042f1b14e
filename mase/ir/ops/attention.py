"""Scaled dot-product attention."""

from __future__ import annotations

from mase.ir.op import Op, register_op
from mase.ir.ops.shapes import same, tensor
from mase.ir.types import TensorType, Type

__all__ = ["Attention"]


@register_op("nn.attention")
class Attention(Op):
    """``softmax(query @ key.T * scale + mask) @ value`` over ``[..., length, features]``.

    Args:
        dropout: the probability of dropping a weight in training.
        causal: whether a position attends to earlier ones only.
        scale: None is ``1/sqrt(features)``.
        grouped: whether fewer key heads serve several query heads.
    """

    dropout: float = 0.0
    causal: bool = False
    scale: float | None = None
    grouped: bool = False

    def infer(
        self, query: TensorType, key: TensorType, value: TensorType, mask: TensorType | None = None
    ) -> Type:
        q, k, v = (tensor(t, w) for t, w in ((query, "query"), (key, "key"), (value, "value")))
        same(q.shape[-1], k.shape[-1], "features of key")
        same(k.shape[-2], v.shape[-2], "length of value")
        return q.with_shape((*q.shape[:-1], v.shape[-1]))

"""Attention: scaled dot products, rotary embedding of positions, the cache of keys and values."""

from __future__ import annotations

from mase.ir.axes import Axes
from mase.ir.dim import Dim
from mase.ir.op import Op, OpError, register_op
from mase.ir.ops.shapes import broadcast, same, tensor
from mase.ir.types import TensorType, Type

__all__ = ["Attention", "KVCache", "RotaryEmbedding"]


@register_op("nn.attention")
class Attention(Op):
    """``softmax(query @ key.T * scale + mask) @ value`` over ``[..., length, features]``.

    Its quantized forms have a format for ``probs`` too: the weights that the softmax gives. A ``mask`` of
    floats, which is added, has one where the op computes in integers.

    Args:
        dropout: the probability of dropping a weight in training.
        causal: whether a position attends to earlier ones only.
        scale: None is ``1/sqrt(features)``.
        grouped: whether fewer key heads serve several query heads.
    """

    quantized_roles = ("query", "key", "value", "probs", "mask")
    off_grid = True
    dropout: float = 0.0
    causal: bool = False
    scale: float | None = None
    grouped: bool = False

    def axes(self, role: str) -> Axes:
        return Axes((-2,)) if role == "value" else Axes()

    def infer(
        self, query: TensorType, key: TensorType, value: TensorType, mask: TensorType | None = None
    ) -> Type:
        q, k, v = (tensor(t, w) for t, w in ((query, "query"), (key, "key"), (value, "value")))
        same(q.shape[-1], k.shape[-1], "features of key")
        same(k.shape[-2], v.shape[-2], "length of value")
        return q.with_shape((*q.shape[:-1], v.shape[-1]))


@register_op("nn.rotary_embedding")
class RotaryEmbedding(Op):
    """``data_in * cos + rotate(data_in) * sin``, where ``rotate`` makes ``[-b, a]`` of ``[a, b]``.

    Args:
        interleaved: whether ``a`` and ``b`` are the even and odd features and not the two halves.
    """

    quantized_roles = ("data_in", "cos", "sin")
    interleaved: bool = False

    def infer(self, data_in: TensorType, cos: TensorType, sin: TensorType) -> Type:
        x, c, s = (tensor(t, w) for t, w in ((data_in, "data_in"), (cos, "cos"), (sin, "sin")))
        if x.rank and isinstance(x.shape[-1], int) and x.shape[-1] % 2:
            raise OpError(f"data_in: expected an even number of features, found {x}")
        return x.with_shape(broadcast(broadcast(x.shape, c.shape), s.shape))


@register_op("nn.kv_cache")
class KVCache(Op):
    """The keys or values of earlier positions, read from a cache, with those of new ones after them.

    Args:
        dim: the dimension of positions.
    """

    quantized_roles = ("past", "data_in")
    dim: int = -2

    def infer(self, past: TensorType, data_in: TensorType) -> Type:
        old, new = tensor(past, "past"), tensor(data_in, "data_in")
        if old.rank != new.rank or not -new.rank <= self.dim < new.rank:
            raise OpError(f"expected equal ranks and a dimension {self.dim}, found {old} and {new}")
        shape: list[Dim] = list(new.shape)
        for i, (a, b) in enumerate(zip(old.shape, new.shape, strict=True)):
            if i != self.dim % new.rank:
                same(a, b, f"dimension {i} of data_in")
        shape[self.dim] = old.shape[self.dim] + new.shape[self.dim]
        return new.with_shape(shape)

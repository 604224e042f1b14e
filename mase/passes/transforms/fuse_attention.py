"""``fuse-attention``: what attention consists of beside its products becomes ops of its own."""

from __future__ import annotations

from typing import Any

from mase.ir.graph import Node
from mase.ir.ops.attention import KVCache, RotaryEmbedding
from mase.ir.ops.core import Input
from mase.ir.ops.tensor import Add, Concat, Mul
from mase.ir.ops.torch import Call, target_of
from mase.ir.template import Hole
from mase.ir.types import TensorType
from mase.passes.registry import register_pass
from mase.passes.rewriter import Rewriter, rewrite

__all__ = ["FuseAttention"]


@register_pass("fuse-attention", requires=("float",))
class FuseAttention:
    """Find rotary embeddings and caches of keys and values, so that `quantize` can give them formats.

    A rotary embedding is ``x * cos + cat(-b, a) * sin`` of the halves ``[a, b]`` of ``x``, as in Hugging
    Face's ``apply_rotary_pos_emb``. A cache is an input that the graph returns longer, joined along the
    dimension of positions with what is new. Only these very computations match, so that the numbers
    stay the same to the last bit.
    """

    @rewrite(Add)
    def rotary(self, node: Node, rewriter: Rewriter) -> None:
        """The sum of products becomes one op; what nothing else uses of the pattern goes."""
        match = _rotary(node)
        if match is None:
            return
        products = node.inputs
        rewriter.replace(node, RotaryEmbedding(), *match)
        rewriter.erase_unused(products)
        rewriter.ctx.stat("rotary embeddings")

    @rewrite(Concat)
    def cache(self, node: Node, rewriter: Rewriter) -> None:
        """The concatenation becomes the cache."""
        if _is_cache(node):
            rewriter.replace(node, KVCache(dim=-2))
            rewriter.ctx.stat("caches")


def _rotary(node: Node) -> tuple[Node, Node, Node] | None:
    """``x``, ``cos`` and ``sin``, if the node is the sum of a rotary embedding."""
    straight, turned = node.inputs
    if not isinstance(straight.op, Mul) or not isinstance(turned.op, Mul):
        return None
    (x, cos), (joined, sin) = straight.inputs, turned.inputs
    if not isinstance(x.type, TensorType) or not isinstance(joined.op, Concat) or len(joined.inputs) != 2:
        return None
    size = x.type.shape[-1] if x.type.rank else None
    negated, first = joined.inputs
    if not isinstance(size, int) or size % 2 or target_of(negated.op) != "aten.neg.default":
        return None
    halves = _slice(first), _slice(negated.inputs[0])
    found = halves == ((x, 0, size // 2), (x, size // 2, size)) and _is_last(joined.op.dim, x)
    return (x, cos, sin) if found else None


def _is_last(dim: int, like: Node) -> bool:
    return isinstance(like.type, TensorType) and dim in (-1, like.type.rank - 1)


def _slice(node: Node) -> tuple[Node, int, int] | None:
    """What a slice of the last dimension is taken of, with its bounds."""
    if target_of(node.op) != "aten.slice.Tensor" or not isinstance(node.op, Call):
        return None
    match node.op.args.fill(Hole, str):
        case (Hole(index=0), int(dim), int(start), int(end)):
            source: Any = node.inputs[0]
            size = source.type.shape[-1]
            return (
                (source, start, min(end, size)) if _is_last(dim, source) and isinstance(size, int) else None
            )
        case _:
            return None


def _is_cache(node: Node) -> bool:
    """Whether the node joins new positions to an input, and the graph returns the result."""
    assert isinstance(node.op, Concat)
    if len(node.inputs) != 2 or not isinstance(node.type, TensorType) or node.type.rank < 3:
        return False
    past, new = node.inputs
    by_position = node.op.dim in (-2, node.type.rank - 2)
    grows = isinstance(past.op, Input) and not isinstance(new.op, Input)
    return by_position and grows and node in node.graph.outputs

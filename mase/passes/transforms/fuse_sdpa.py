"""``fuse-sdpa``: attention that is written out becomes one op."""

from __future__ import annotations

from dataclasses import dataclass

from mase.ir.graph import Node
from mase.ir.ops import attention, nn, tensor
from mase.ir.ops.moves import called_name
from mase.ir.ops.torch import Call
from mase.ir.template import Hole
from mase.ir.types import TensorType
from mase.passes.registry import register_pass
from mase.passes.rewriter import Rewriter, rewrite

__all__ = ["FuseSdpa"]


@register_pass("fuse-sdpa", requires=("float",), changes_numbers=True)
class FuseSdpa:
    """Find ``dropout(softmax(query @ key.T * scale + mask)) @ value``, and make one op of it.

    So models have it that do without torch's own ``scaled_dot_product_attention`` (in Hugging Face those of
    ``attn_implementation="eager"``). In one op scores are scaled and a mask is added where quantization wants
    them: inside of the softmax, whose weights have a format. Mask, scale and dropout may be absent. Nothing
    else may use what is computed in between. The numbers change in their last bits, for torch's function sums
    in an order of its own.
    """

    @rewrite(tensor.MatMul)
    def attention(self, node: Node, rewriter: Rewriter) -> None:
        """The last product becomes the attention."""
        if (found := _match(node)) is None:
            return
        before, operands = node.inputs, [found.query, found.key, node.inputs[1]]
        operands += [found.mask] if found.mask is not None else []
        op = attention.Attention(dropout=found.dropout, scale=found.scale)
        rewriter.replace(node, op, *operands)
        rewriter.erase_unused(before)
        rewriter.ctx.stat("attentions")


@dataclass
class _Match:
    """What was found on the way up from the weights."""

    query: Node
    key: Node
    mask: Node | None
    scale: float
    dropout: float


def _match(node: Node) -> _Match | None:
    weights, dropout = node.inputs[0], 0.0
    if isinstance(weights.op, nn.Dropout) and _alone(weights):
        weights, dropout = weights.inputs[0], weights.op.p
    if not isinstance(weights.op, nn.Softmax) or not _alone(weights) or not _is_last(weights.op.dim, weights):
        return None
    scores, mask = weights.inputs[0], None
    if isinstance(scores.op, tensor.Add) and _alone(scores):
        found = next(((s, m) for s, m in (scores.inputs, scores.inputs[::-1]) if _scaled(s)), None)
        if found is None or found[1].tensor_type.rank > scores.tensor_type.rank:
            return None
        scores, mask = found
    product = _scaled(scores)
    if product is None:
        return None
    query, columns = product[0].inputs
    swapped = isinstance(columns.op, tensor.Transpose) and _swaps_last(columns.op, columns)
    if not swapped or columns.tensor_type.rank < 2:
        return None
    return _Match(query, columns.inputs[0], mask, product[1], dropout)


def _scaled(node: Node) -> tuple[Node, float] | None:
    """The product of queries and keys and the number that multiplies it, if a node is that."""
    if isinstance(node.op, tensor.MatMul):
        return (node, 1.0) if _alone(node) else None
    if not isinstance(node.op, Call) or not _alone(node) or called_name(node.op) not in ("mul", "div"):
        return None
    match node.op.args.value:
        case (Hole(index=0), float() | int() as number) if isinstance(node.inputs[0].op, tensor.MatMul):
            scale = float(number) if called_name(node.op) == "mul" else 1.0 / float(number)
            return (node.inputs[0], scale) if scale > 0 and _alone(node.inputs[0]) else None
        case _:
            return None


def _alone(node: Node) -> bool:
    """Whether one node uses a value, and the caller does not see it."""
    return len(node.users) == 1 and node not in node.graph.outputs


def _is_last(dim: int, node: Node) -> bool:
    return isinstance(node.type, TensorType) and dim in (-1, node.type.rank - 1)


def _swaps_last(op: tensor.Transpose, node: Node) -> bool:
    rank = node.tensor_type.rank
    return {op.dim0 % rank, op.dim1 % rank} == {rank - 1, rank - 2}

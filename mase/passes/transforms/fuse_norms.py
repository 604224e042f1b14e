"""``fuse-norms``: RMS norms that were written out become ops of their own."""

from __future__ import annotations

from typing import Any

from mase.ir.graph import Node
from mase.ir.ops.core import Parameter
from mase.ir.ops.norm import RmsNorm
from mase.ir.ops.tensor import Mean, Mul
from mase.ir.ops.torch import Call, target_of
from mase.ir.template import Hole
from mase.ir.types import TensorType
from mase.passes.registry import register_pass
from mase.passes.rewriter import Rewriter, rewrite

__all__ = ["FuseNorms"]


@register_pass("fuse-norms", requires=("float",), changes_numbers=True)
class FuseNorms:
    """Find RMS norms, so that `quantize` can give them formats, and drop casts that change nothing.

    A norm is ``x * rsqrt(mean(x**2) + eps) * weight`` over the last dimension, as in the ``RMSNorm`` of
    Llama and its kin. torch's own function computes the same up to the last bit or two.
    """

    @rewrite(Call)
    def idle_cast(self, node: Node, rewriter: Rewriter) -> None:
        """A cast to the type that its operand has."""
        if target_of(node.op) == "aten.to.dtype" and node.type == node.inputs[0].type:
            rewriter.forward(node, node.inputs[0])
            rewriter.ctx.stat("idle casts")

    @rewrite(Mul)
    def norm(self, node: Node, rewriter: Rewriter) -> None:
        """The product with the weight becomes one op; what nothing else uses of the pattern goes."""
        for weight, scaled in (node.inputs, node.inputs[::-1]):
            found = _normalized(scaled)
            if found is None or not isinstance(weight.op, Parameter):
                continue
            x, eps = found
            size = x.tensor_type.shape[-1]
            if not isinstance(size, int) or weight.tensor_type.shape != (size,) or node.type != x.type:
                continue
            op, key = RmsNorm(normalized_shape=(size,), eps=eps), weight.params["value"]
            before = node.inputs
            rewriter.replace(node, op, x, params={"weight": key})
            rewriter.erase_unused(before)
            rewriter.ctx.stat("rms norms")
            return


def _normalized(node: Node) -> tuple[Node, float] | None:
    """``x`` and ``eps``, if the node is ``x * rsqrt(mean(x**2) + eps)`` over the last dimension."""
    if not isinstance(node.op, Mul):
        return None
    for x, root in (node.inputs, node.inputs[::-1]):
        if target_of(root.op) != "aten.rsqrt.default" or not isinstance(x.type, TensorType):
            continue
        found = _mean_and_eps(root.inputs[0])
        if found is not None and _is_square(found[0].inputs[0], x) and _over_last(found[0], x):
            return x, found[1]
    return None


def _mean_and_eps(node: Node) -> tuple[Node, float] | None:
    """The mean that a number is added to, and the number."""
    if target_of(node.op) != "aten.add.Tensor" or not isinstance(node.op, Call):
        return None
    match node.op.args.fill(Hole, str):
        case (Hole(index=0), float(eps)) if isinstance(node.inputs[0].op, Mean):
            return node.inputs[0], eps
        case _:
            return None


def _is_square(node: Node, x: Node) -> bool:
    if isinstance(node.op, Mul):
        return node.inputs == (x, x)
    if target_of(node.op) != "aten.pow.Tensor_Scalar" or not isinstance(node.op, Call):
        return False
    arguments: Any = node.op.args.fill(Hole, str)
    return node.inputs == (x,) and arguments[1] == 2


def _over_last(mean: Node, x: Node) -> bool:
    op, rank = mean.op, x.tensor_type.rank
    return isinstance(op, Mean) and op.keepdim and op.dims in ((-1,), (rank - 1,))

"""Legalization of batch norm that was not folded: an affine function of each channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from mase.ir.formats import Fixed
from mase.ir.graph import Node
from mase.ir.ops import exact, norm
from mase.ir.ops.exact import Code
from mase.ir.ops.quantized import QuantizedOp
from mase.passes.legalize.constants import codes_of
from mase.passes.legalize.registry import legalize
from mase.passes.legalize.value import FIT, Scaling, Value
from mase.runtime.exact.requantize import shift_round
from mase.runtime.modules.norm import affine

if TYPE_CHECKING:
    from mase.passes.legalize.legalizer import Legalizer

__all__ = ["batch_norm"]


@legalize.register(norm.BatchNorm)
def batch_norm(node: Node, legal: Legalizer) -> Value:
    """``data_in * scale + shift``, both found from the running statistics when the graph is legalized."""
    op, state = node.op, legal.old.state
    assert isinstance(op, QuantizedOp)
    base = op.float_op
    assert isinstance(base, norm.BatchNorm)
    formats = [op.formats[role] for role in ("data_in", "weight", "bias")]
    x, weight, bias = (f if isinstance(f, Fixed) else None for f in formats)
    if x is None or weight is None or bias is None:
        raise legal.fault(
            node,
            "has scales of its own beside int<W>",
            "run fold-batchnorm before quantize",
        )
    roles = {role: state[key] for role, key in node.params.items()}
    scale, shift = affine(
        roles.get("weight"), roles.get("bias"), roles["running_mean"], roles["running_var"], base.eps
    )
    shape = (-1, *(1,) * (node.tensor_type.rank - 2))
    factors, added = codes_of(scale, weight), _aligned(codes_of(shift, bias), bias.frac, x.frac + weight.frac)
    return legal.emit(
        node,
        exact.Scale(width=FIT),
        legal.operand(node, 0),
        scaling=Scaling.power(-x.frac - weight.frac),
        roles={
            "factors": (factors.view(shape), Code(weight.width, weight.signed)),
            "bias": (added.view(shape), None),
        },
    )


def _aligned(codes: Tensor, frac: int, to: int) -> Tensor:
    return shift_round(codes, min(frac - to, 62)) if frac > to else codes << (to - frac)

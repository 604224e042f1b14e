"""Legalization of layers with weights and of matrix products."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mase.ir.format import Format
from mase.ir.formats import Binary, Fixed, Integer, Ternary
from mase.ir.graph import Node
from mase.ir.op import Op
from mase.ir.ops import conv, exact, nn, tensor
from mase.ir.ops.exact import Code
from mase.ir.ops.quantized import QuantizedOp
from mase.ir.types import TensorType
from mase.passes.legalize.constants import codes_of, weight_codes
from mase.passes.legalize.registry import legalize
from mase.passes.legalize.value import FIT, Scaling, Value
from mase.runtime.exact.requantize import shift_round
from mase.runtime.given_scales import given_scale
from mase.runtime.kernels import quantize

if TYPE_CHECKING:
    from mase.passes.legalize.legalizer import Legalizer

__all__ = ["Weight", "bias_codes", "contraction", "matmul", "weight_of"]

_CONVOLUTIONS: dict[type[Op], type[exact.Contraction]] = {
    conv.Conv1d: exact.Conv1d,
    conv.Conv2d: exact.Conv2d,
    conv.Conv3d: exact.Conv3d,
    conv.ConvTranspose1d: exact.ConvTranspose1d,
    conv.ConvTranspose2d: exact.ConvTranspose2d,
    conv.ConvTranspose3d: exact.ConvTranspose3d,
}


@dataclass(frozen=True)
class Weight:
    """A weight as integers.

    Args:
        codes: the integers, int64.
        format: the format that files pack them in.
        scaling: their scale, for channels along dimension 0 where it is one for each.
    """

    codes: Tensor
    format: Code
    scaling: Scaling


def weight_of(node: Node, legal: Legalizer, role: str = "weight") -> Weight:
    """The weight of a quantized node as integers.

    Raises:
        MaseError: if its format is no integer, or has scales along the sum.
    """
    op = node.op
    assert isinstance(op, QuantizedOp)
    format, weight = op.formats[role], legal.old.state[node.params[role]]
    if isinstance(format, Fixed):
        code = Code(format.width, format.signed)
        return Weight(codes_of(weight, format), code, Scaling.power(-format.frac))
    if isinstance(format, Binary | Ternary):
        return _signs(node, legal, weight, format)
    if not isinstance(format, Integer):
        what = "stays in float" if format is None else f"is {format}, which is no integer"
        raise legal.fault(node, f"{role} {what}", f"give it a format: {role} = fixed<8>")
    along = (None,) if issubclass(op.base, conv.ConvTranspose) else (None, 0, -weight.dim())
    if format.group is not None or format.token or format.channel not in along:
        raise legal.fault(
            node,
            f"{role} = {format} has scales that differ within a sum",
            f"use int<{format.width}> or int<{format.width},channel=0>",
        )
    codes, scales = weight_codes(weight, format, given_scale(node, role))
    code = (
        Code.holding(min(int(codes.min()), -1), int(codes.max()))
        if format.asym
        else Code(format.width, format.signed)
    )
    scaling = Scaling(tuple(scales), None if format.channel is None else 0).mapped(lambda f: f)
    return Weight(codes, code, scaling)


def _signs(node: Node, legal: Legalizer, weight: Tensor, format: Binary | Ternary) -> Weight:
    """Weights of -1, 1 and perhaps 0, whose sums the quantized graph computes exactly in floats."""
    if format.scaled:
        raise legal.fault(
            node,
            f"weight = {format} has a factor, by which the quantized graph multiplies in float",
            f"use {format.names[0]} without one, or int<2,channel=0>",
        )
    codes = quantize(weight.detach(), format).long()
    return Weight(codes, Code(2), Scaling.power(0))


@legalize.register(nn.Linear, conv.Conv, conv.ConvTranspose)
def contraction(node: Node, legal: Legalizer) -> Value:
    """Linear layers and convolutions."""
    assert isinstance(node.op, QuantizedOp)
    x, weight = legal.operand(node, 0), weight_of(node, legal)
    base = node.op.float_op
    rank = node.tensor_type.rank
    channels = rank - 1 - (base.spatial if isinstance(base, conv.Conv | conv.ConvTranspose) else 0)
    roles: dict[str, tuple[Tensor, Code | None]] = {"weight": (weight.codes, weight.format)}
    scaling = x.scaling.times(weight.scaling).along(channels)
    if "bias" in node.params:
        roles["bias"] = bias_codes(node, legal, scaling), None
    op: exact.Contraction
    if type(base) in _CONVOLUTIONS:
        made: Any = _CONVOLUTIONS[type(base)]
        op = made(width=FIT, zero_point=x.zero_point, **base.attributes())
    else:
        op = exact.Linear(width=FIT, zero_point=x.zero_point)
    value = legal.emit(node, op, x, scaling=scaling, roles=roles)
    if isinstance(node.op.formats["weight"], Binary | Ternary) and value.interval.magnitude > _FLOAT32:
        raise legal.fault(node, "sums more than the quantized graph's float32 holds", "narrow data_in")
    return value


_FLOAT32 = 2**24
_CARRIER = 2.0**62
_DYADIC = "quantize{requant=dyadic} lets the quantized graph do the same, in training too"


def bias_codes(node: Node, legal: Legalizer, scaling: Scaling) -> Tensor:
    """The bias in units of the accumulator, rounded half to even where it is finer.

    Args:
        node: a quantized node with a bias.
        legal: the legalizer.
        scaling: the accumulator's.

    Raises:
        MaseError: if the bias stays in float in the integer family, whose promise is that nothing does.
    """
    op = node.op
    assert isinstance(op, QuantizedOp)
    format, bias = op.formats.get("bias"), legal.old.state[node.params["bias"]]
    frac = scaling.frac
    if float(bias.detach().double().abs().max() / float(min(scaling.factors))) >= _CARRIER:
        raise legal.fault(
            node,
            "a bias in units of the accumulator leaves int64, so tiny is the scale of data_in",
            "calibrate it on data that is not all zero",
        )
    if isinstance(format, Fixed) and frac is not None:
        codes, shift = codes_of(bias, format), format.frac - frac
        if shift <= 0:
            return codes << -shift
        if op.family == "integer":
            legal.ctx.note(f"bias {format} is finer than the products: rounded to {frac} bits", node)
            return shift_round(codes, min(shift, 62))
    if format is None and op.family == "integer":
        raise legal.fault(node, "bias stays in float", "leave bias out of the rules, or give it a format")
    if isinstance(op.formats["weight"], Binary | Ternary):
        step = "of data_in's step or a coarser one"
        raise legal.fault(node, f"bias = {format} is not {step}", f"give it one {step}: bias = fixed<16,F>")
    # As the modules do where requant = "dyadic": the scale is a product of two float32, exact in float64.
    units = torch.tensor([float(f) for f in scaling.factors], dtype=torch.float64)
    exactly = _values(bias, format) / units
    if op.requant == "float" and bool((exactly != exactly.round()).any()):
        legal.ctx.note("bias is rounded to the accumulator's scale", node, help=_DYADIC)
    return exactly.round().long()


def _values(bias: Tensor, format: Format | None) -> Tensor:
    return (bias.detach() if format is None else quantize(bias.detach(), format)).double()


@legalize.register(tensor.MatMul)
def matmul(node: Node, legal: Legalizer) -> Value:
    """The product of two values, as in attention."""
    x, y = legal.operand(node, 0), legal.operand(node, 1)
    type = node.inputs[0].type
    terms = type.shape[-1] if isinstance(type, TensorType) else None
    if not isinstance(terms, int):
        other = node.inputs[1].tensor_type.shape
        terms = other[-2 if len(other) > 1 else 0]
    if not isinstance(terms, int):
        raise legal.fault(
            node, f"sums {terms} products, a number that nothing bounds", "capture with a fixed length"
        )
    op = exact.MatMul(width=FIT, terms=terms, zero_point=x.zero_point, other_zero_point=y.zero_point)
    return legal.emit(node, op, x, y, scaling=x.scaling.times(y.scaling))

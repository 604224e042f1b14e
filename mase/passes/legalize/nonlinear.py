"""Legalization of what lies on no grid: functions by tables, softmax, layer and RMS norm, attention."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

from torch import Tensor

from mase.ir.formats import Fixed
from mase.ir.graph import Node
from mase.ir.ops import attention, exact, nn, norm, tensor
from mase.ir.ops.exact import Code, Interval, Numbers
from mase.ir.ops.quantized import QuantizedOp
from mase.ir.ops.torch import Call
from mase.ir.template import Template
from mase.ir.types import TensorType
from mase.passes.legalize.constants import codes_of
from mase.passes.legalize.moves import is_float
from mase.passes.legalize.registry import legalize
from mase.passes.legalize.value import FIT, Scaling, Value
from mase.runtime.exact.alignment import ANGLE_BITS, align, code_width
from mase.runtime.exact.piecewise import piecewise_of
from mase.runtime.exact.scalars import has_table
from mase.runtime.exact.tables import WIDEST_TABLE, table_of

if TYPE_CHECKING:
    from mase.passes.legalize.legalizer import Legalizer

__all__ = ["activation", "attend", "normalization", "rotate", "softmax"]


def _by_table(node: Node, legal: Legalizer) -> QuantizedOp:
    """The op of a node, which computes in integers.

    Raises:
        MaseError: if it computes in floats.
    """
    op = node.op
    assert isinstance(op, QuantizedOp)
    if op.nonlinear != "table":
        remedy = 'quantize{nonlinear="table"}' if op.has_tables() else "leave it out, or add a rule"
        raise legal.fault(node, "computes in float", remedy)
    return op


def _fixed(op: QuantizedOp, role: str) -> Fixed:
    return cast(Fixed, op.data_out if role == "data_out" else op.formats[role])


def _numbers(node: Node, legal: Legalizer) -> Numbers:
    """What the operand's codes mean, less their zero point."""
    target = legal.target(node, "data_in")
    return Numbers(target.min - target.zero_point, target.max - target.zero_point, target.scale)


@legalize.register(nn.Activation)
def activation(node: Node, legal: Legalizer) -> Value:
    """A function of one number."""
    op = _by_table(node, legal)
    if not has_table(op.float_op):
        raise legal.fault(node, "has no table", "leave it out, or add a rule")
    x, out = legal.operand(node, 0), _fixed(op, "data_out")
    source = _numbers(node, legal)
    roles: dict[str, tuple[Tensor, Code | None]]
    if source.width <= WIDEST_TABLE:
        code = Code(out.width, out.signed)
        made = exact.Table(format=code, first=source.first + x.zero_point)
        roles = {"table": (table_of(op.float_op, source, out), code)}
    else:
        lines, tensors = piecewise_of(op.float_op, source, out)
        made = replace(lines, first=source.first + x.zero_point)
        roles = {role: (tensor, None) for role, tensor in tensors.items()}
        legal.ctx.record("error of lines", node.name, lines.error)
    return legal.emit(
        node,
        made,
        x,
        scaling=Scaling.power(-out.frac),
        roles=roles,
        name=node.name,
    )


@legalize.register(nn.Softmax)
def softmax(node: Node, legal: Legalizer) -> Value:
    """Weights that sum to one."""
    op = _by_table(node, legal)
    base, out, x = op.float_op, _fixed(op, "data_out"), legal.operand(node, 0)
    assert isinstance(base, nn.Softmax)
    made = exact.Softmax.of(x.scaling.factors[0], out, dim=base.dim)
    return legal.emit(node, made, x, scaling=Scaling.power(-out.frac), name=node.name)


@legalize.register(norm.LayerNorm, norm.RmsNorm)
def normalization(node: Node, legal: Legalizer) -> Value:
    """Layer norm and RMS norm."""
    op = _by_table(node, legal)
    base, out = op.float_op, _fixed(op, "data_out")
    assert isinstance(base, norm.LayerNorm | norm.RmsNorm)
    formats = {role: _fixed(op, role) for role in ("weight", "bias") if role in node.params}
    roles: dict[str, tuple[Tensor, Code | None]] = {
        role: (codes_of(legal.old.state[node.params[role]], f), Code(f.width, f.signed))
        for role, f in formats.items()
    }
    x = legal.operand(node, 0)
    made = exact.Norm.of(
        _numbers(node, legal),
        out,
        count=math.prod(base.normalized_shape),
        eps=base.epsilon,
        centered=isinstance(base, norm.LayerNorm),
        dims=len(base.normalized_shape),
        zero_point=x.zero_point,
        **formats,
    )
    scaling = Scaling.power(-out.frac)
    return legal.emit(node, made, x, scaling=scaling, roles=roles, name=node.name)


@legalize.register(attention.Attention)
def attend(node: Node, legal: Legalizer) -> Value:
    """Products of queries and keys, their softmax, its products with the values."""
    op = _by_table(node, legal)
    base, weights = op.float_op, _fixed(op, "probs")
    assert isinstance(base, attention.Attention)
    q, k, v = (legal.operand(node, i) for i in range(3))
    features = node.inputs[0].tensor_type.shape[-1]
    if not isinstance(features, int):
        raise legal.fault(node, f"sums {features} products", "capture it with a fixed number of features")
    if base.grouped:
        k, v = (_shared(node, legal, t, what) for t, what in ((k, "key"), (v, "value")))
    scale = 1 / math.sqrt(features) if base.scale is None else base.scale
    zeros = {"zero_point": q.zero_point, "other_zero_point": k.zero_point}
    product = exact.MatMul(width=FIT, terms=features, **zeros)
    turned = _turned(node, legal, k)
    scaling = q.scaling.times(k.scaling)
    scores = legal.emit(node, product, q, turned, scaling=scaling, name=f"{node.name}_scores")
    step = scaling.factors[0] * Fraction(scale)
    added = _fixed(op, "mask") if len(node.inputs) > 3 and is_float(node.inputs[3]) else None
    made = exact.Softmax.of(step, weights, causal=base.causal, mask=added)
    masks = [legal.operand(node, 3) if added else _kept(legal, m) for m in node.inputs[3:]]
    probs_scaling = Scaling.power(-weights.frac)
    probs = legal.emit(node, made, scores, *masks, scaling=probs_scaling, name=f"{node.name}_probs")
    terms = _terms(v.node.tensor_type, weights)
    product = exact.MatMul(width=FIT, terms=terms, other_zero_point=v.zero_point)
    return legal.emit(node, product, probs, v, scaling=probs.scaling.times(v.scaling))


def _terms(values: TensorType, weights: Fixed) -> int:
    """How many products with a weight that is not zero the result sums.

    A weight is not zero from half a step on, so that there are no more than ``2 / step`` of them, and a
    little for the error of the reciprocal, however long the sequence is.
    """
    length = values.shape[-2]
    return length if isinstance(length, int) else 5 * 2 ** max(weights.frac - 1, 0)


def _kept(legal: Legalizer, mask: Node) -> Value:
    """A mask of booleans."""
    return Value(legal.plain(mask), Scaling.power(0), 0, Interval(0, 1))


def _turned(node: Node, legal: Legalizer, key: Value) -> Value:
    """The keys as columns."""
    op = tensor.Transpose(dim0=-2, dim1=-1)
    name = f"{node.name}_columns"
    made = legal.new.add(op, key.node, name=name, like=node)
    return legal.annotated(Value(made, key.scaling, key.zero_point, key.interval))


def _shared(node: Node, legal: Legalizer, heads: Value, what: str) -> Value:
    """Heads of keys or values, each as often as it serves a head of queries."""
    wanted, type = node.inputs[0].tensor_type.shape[-3], heads.node.tensor_type
    given = type.shape[-3]
    if not isinstance(wanted, int) or not isinstance(given, int):
        raise legal.fault(node, "shares heads whose number varies", "capture it with a fixed number of heads")
    if wanted == given:
        return heads
    shape = (*type.shape[:-3], wanted, *type.shape[-2:])
    op = Call(
        target="aten.repeat_interleave.self_int",
        args=Template(f"(%0, {wanted // given}, -3)"),
        returns=type.with_shape(shape),
    )
    name = f"{node.name}_{what}_heads"
    made = legal.new.add(op, heads.node, type=op.returns, name=name, like=node)
    return legal.annotated(Value(made, heads.scaling, heads.zero_point, heads.interval))


@legalize.register(attention.RotaryEmbedding)
def rotate(node: Node, legal: Legalizer) -> Value:
    """Features turned by angles whose cosines and sines are integers."""
    op: Any = node.op
    x, cos, sin = (legal.operand(node, i) for i in range(3))
    if (cos.zero_point, sin.zero_point) != (0, 0):
        raise legal.fault(node, "takes cosines and sines with a zero point", "give them fixed<W,F> or int<W>")
    width = code_width(op.formats["cos"], op.formats["sin"])
    scale, factors = align(cos.scaling.factors[0], sin.scaling.factors[0], width, ANGLE_BITS)
    made = exact.RotaryEmbedding(
        width=FIT,
        interleaved=op.interleaved,
        zero_point=x.zero_point,
        cos_factor=factors[0],
        sin_factor=factors[1],
    )
    return legal.emit(node, made, x, cos, sin, scaling=x.scaling.times(Scaling.of(scale)))

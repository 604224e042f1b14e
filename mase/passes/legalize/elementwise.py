"""Legalization of sums, products, ReLUs, max-pools and concatenations."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from mase.ir.formats import Fixed, Integer
from mase.ir.graph import Node
from mase.ir.ops import attention, exact, nn, pool, tensor
from mase.ir.ops.exact import Interval
from mase.ir.ops.quantized import QuantizedOp
from mase.passes.legalize.registry import legalize
from mase.passes.legalize.value import FIT, Scaling, Value
from mase.runtime.exact.alignment import align, code_width

if TYPE_CHECKING:
    from mase.passes.legalize.legalizer import Legalizer

__all__ = ["add", "join", "max_pool", "mul", "relu"]


@legalize.register(tensor.Add, tensor.Sub)
def add(node: Node, legal: Legalizer) -> Value:
    """The sum or difference at the finer of two scales."""
    x, y = legal.operand(node, 0), legal.operand(node, 1)
    assert isinstance(node.op, QuantizedOp)
    formats = [f for f in node.op.formats.values() if isinstance(f, Fixed | Integer)]
    scale, factors = align(x.scaling.factors[0], y.scaling.factors[0], code_width(*formats))
    sign = -1 if issubclass(node.op.base, tensor.Sub) else 1
    op = exact.Add(
        width=FIT,
        factor=factors[0],
        other_factor=sign * factors[1],
        zero_point=x.zero_point,
        other_zero_point=y.zero_point,
    )
    return legal.emit(node, op, x, y, scaling=Scaling.of(scale))


@legalize.register(tensor.Mul)
def mul(node: Node, legal: Legalizer) -> Value:
    """The product."""
    x, y = legal.operand(node, 0), legal.operand(node, 1)
    op = exact.Mul(width=FIT, zero_point=x.zero_point, other_zero_point=y.zero_point)
    return legal.emit(node, op, x, y, scaling=x.scaling.times(y.scaling))


_LIMITS: dict[type[object], tuple[int, int | None]] = {nn.Relu: (0, None), nn.Relu6: (0, 6)}


@legalize.register(nn.Relu, nn.Relu6, nn.Hardtanh)
def relu(node: Node, legal: Legalizer) -> Value:
    """A clamp: fused into the requantization of its operand."""
    op = node.op
    assert isinstance(op, QuantizedOp)
    base, format = op.float_op, op.formats["data_in"]
    ends = (base.min_val, base.max_val) if isinstance(base, nn.Hardtanh) else _LIMITS[type(base)]
    low, high = (None if end is None else Fraction(end) for end in ends)
    for end in (low, high):
        if (
            end is not None
            and isinstance(format, Fixed)
            and (end * Fraction(2) ** format.frac).denominator != 1
        ):
            raise legal.fault(
                node,
                f"clips at {float(end)}, which is no number of {format}",
                f"give data_in more fractional bits than {format.frac}",
            )
    return legal.operand(node, 0, low=low, high=high)


@legalize.register(pool.MaxPool, pool.AdaptiveMaxPool1d, pool.AdaptiveMaxPool2d)
def max_pool(node: Node, legal: Legalizer) -> Value:
    """The largest code of each window."""
    assert isinstance(node.op, QuantizedOp)
    x = legal.operand(node, 0)
    made = legal.new.add(node.op.float_op, x.node, name=node.name, like=node)
    return legal.annotated(Value(made, x.scaling, x.zero_point, x.interval))


@legalize.register(tensor.Concat, attention.KVCache)
def join(node: Node, legal: Legalizer) -> Value:
    """Codes side by side; those of a coarser grid are shifted to the finer one."""
    assert isinstance(node.op, QuantizedOp)
    values = [legal.operand(node, i) for i in range(len(node.inputs))]
    finest = min((v.scaling.factors[0] for v in values), default=Fraction(1))
    made: list[Value] = []
    for i, value in enumerate(values):
        ratio = Scaling.of(value.scaling.factors[0] / finest).frac
        if ratio is None or (value.zero_point != values[0].zero_point):
            raise legal.fault(node, "joins integers of unlike scales", "give its operands one format")
        made.append(_shifted(node, legal, value, -ratio, i))
    types = [v.node.tensor_type.format for v in made]
    widest = exact.hull(exact.interval_of(v.node.tensor_type) for v in made)
    if len(set(types)) > 1:
        made = [_widened(node, legal, v, widest, i) for i, v in enumerate(made)]
    joined = legal.new.add(node.op.float_op, *(v.node for v in made), name=node.name, like=node)
    interval = exact.hull(v.interval for v in made)
    return legal.annotated(Value(joined, Scaling.of(finest), values[0].zero_point, interval))


def _shifted(node: Node, legal: Legalizer, value: Value, left: int, index: int) -> Value:
    if left == 0:
        return value
    factor = 2**left
    op = exact.Scale(width=FIT, factor=factor)
    scaling = value.scaling.mapped(lambda f: f / factor)
    return legal.emit(node, op, value, scaling=scaling, name=f"{node.name}_shifted_{index}")


def _widened(node: Node, legal: Legalizer, value: Value, range: Interval, index: int) -> Value:
    format = exact.Code.holding(range.min, range.max)
    if value.node.tensor_type.format == format:
        return value
    to = exact.Requantization(width=format.width, signed=format.signed, min=range.min, max=range.max)
    return legal.emit(
        node,
        exact.Requantize(to=to),
        value,
        scaling=value.scaling,
        zero_point=value.zero_point,
        name=f"{node.name}_wide_{index}",
    )

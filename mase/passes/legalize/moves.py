"""Ops that move or choose elements, copied into the integer graph onto codes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mase.ir.formats import Dtype
from mase.ir.graph import Node
from mase.ir.op import Op
from mase.ir.ops import core, nn, pool
from mase.ir.ops.exact import Code, Interval, Requantization, Requantize, hull
from mase.ir.ops.moves import called_name
from mase.ir.ops.torch import Call
from mase.ir.types import TensorType, TupleType, Type
from mase.passes.legalize.value import Value

if TYPE_CHECKING:
    from mase.passes.legalize.legalizer import Legalizer

__all__ = ["Mover", "is_float", "is_relu"]

_SAME_DIMENSIONS = ("clone", "contiguous", "detach", "alias")


class Mover:
    """Copies moves.

    Args:
        legal: the legalizer whose graph they are copied into.
    """

    def __init__(self, legal: Legalizer) -> None:
        self._legal = legal

    def moved(self, node: Node, request: Callable[[Node], Value]) -> Value:
        """A move of integers.

        Args:
            node: the move in the quantized graph.
            request: gives each operand of floats as integers.
        """
        if isinstance(node.op, nn.Dropout | nn.Identity):
            return request(node.inputs[0])
        values = {n: request(n) for n in dict.fromkeys(node.inputs) if is_float(n)}
        first = self._check(node, list(values.values()))
        interval = hull(v.interval for v in values.values())
        values = self._one_format(node, values)
        legal = self._legal
        operands = [values[n].node if n in values else legal.plain(n) for n in node.inputs]
        format = _format(next(iter(values.values())).node.type)
        type = _with_format(node.type, format)
        op = replace(node.op, returns=type) if isinstance(node.op, Call) else node.op
        made = legal.new.add(op, *operands, type=type, name=node.name, like=node)
        if is_relu(op):
            interval = interval.clipped(Interval(0, max(interval.max, 0)))
        return legal.annotated(Value(made, first.scaling, first.zero_point, interval))

    def _check(self, node: Node, values: Sequence[Value]) -> Value:
        first = values[0]
        if any((v.scaling, v.zero_point) != (first.scaling, first.zero_point) for v in values):
            raise self._legal.fault(
                node, "joins integers of unlike scales", "let a rule of quantize give it a format"
            )
        if first.scaling.axis is not None and not _keeps_dimensions(node.op):
            raise self._legal.fault(
                node,
                "would lose the dimension that the scales of channels run along",
                "quantize its operand or its result to a format with one scale",
            )
        if is_relu(node.op) and first.zero_point:
            raise self._legal.fault(node, "is a ReLU of codes with a zero point", "quantize the ReLU itself")
        return first

    def _one_format(self, node: Node, values: dict[Node, Value]) -> dict[Node, Value]:
        """Widen the operands of a move that joins several to the widest."""
        if len({_format(v.node.type) for v in values.values()}) == 1:
            return values
        types = [_format(v.node.type) for v in values.values()]
        span = hull(Interval.of(t) for t in types)
        format = Code.holding(span.min, span.max)
        to = Requantization(width=format.width, signed=format.signed, min=span.min, max=span.max)
        made: dict[Node, Value] = {}
        for source, value in values.items():
            if _format(value.node.type) == format:
                made[source] = value
                continue
            made[source] = self._legal.emit(
                node,
                Requantize(to=to),
                value,
                scaling=value.scaling,
                zero_point=value.zero_point,
                name=f"{source.name}_wide",
            )
        return made


def is_relu(op: Op) -> bool:
    """Whether a move is ``max(x, 0)``."""
    return isinstance(op, nn.Relu) or (isinstance(op, Call) and called_name(op) == "relu")


def is_float(node: Node) -> bool:
    """Whether a value is a tensor of floats, or a tuple that has some."""
    return _has_floats(node.type)


def _has_floats(type: Type) -> bool:
    if isinstance(type, TupleType):
        return any(_has_floats(e) for e in type.elements)
    return isinstance(type, TensorType) and isinstance(type.format, Dtype) and type.format.is_float


def _keeps_dimensions(op: Op) -> bool:
    if isinstance(op, Call):
        return called_name(op) in (*_SAME_DIMENSIONS, "relu")
    pools = pool.MaxPool | pool.AdaptiveMaxPool1d | pool.AdaptiveMaxPool2d
    return isinstance(op, nn.Relu | core.GetItem | pools)


def _format(type: Type) -> Code:
    """The format of the integers of a type."""
    if isinstance(type, TupleType):
        return next(_format(e) for e in type.elements if isinstance(e, TensorType))
    assert isinstance(type, TensorType)
    assert isinstance(type.format, Code)
    return type.format


def _with_format(type: Type, format: Code) -> Type:
    """A type with integers where it had floats."""
    if isinstance(type, TupleType):
        return TupleType(tuple(_with_format(e, format) for e in type.elements))
    return TensorType(format, type.shape) if isinstance(type, TensorType) and _has_floats(type) else type

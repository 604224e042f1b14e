"""What comes in and goes out: the model's numbers, or codes that the host makes of them.

At level ``quantized`` the first quantizer is the type of the port. At level ``integer`` the ports are
integers: scales, which need not be powers of two, stay with the host.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mase.ir import Fixed, Format, Graph, Node
from mase.ir.ops.exact import Dequantize, Quantize
from mase.ir.ops.moves import is_view, keeps_values
from mase.ir.ops.quantized import QuantizedOp
from mase.runtime.hls.numbers import Range, type_of_format
from mase.runtime.hls.registry import UnfitError
from mase.runtime.hls.weights import fixed_format

__all__ = ["Port", "input_port", "output_scales"]

_WIDE = Range(48, -(2**63), 2**63 - 1)
"""Inputs that no single quantizer rounds: their floats with all the bits that decide a rounding."""


@dataclass(frozen=True)
class Port:
    """How the input comes.

    Args:
        numbers: what it may be.
        type: of the port.
        format: what the host encodes the model's input in; None where it gives it as it is.
        scale: of that format, if it has one from outside.
    """

    numbers: Range
    type: str
    format: Format | None = None
    scale: float | None = None


def input_port(source: Node) -> Port:
    """The port of an input.

    Raises:
        UnfitError: if the graph does not say one format, at level ``integer``.
    """
    if source.graph.level == "integer":
        return _port_of_codes(source)
    formats = set(_formats(source))
    format = formats.pop() if len(formats) == 1 else None
    if format is None:
        return Port(_WIDE, "fixed<64,16,RND,SAT>")
    return Port(Range.of(format), type_of_format(format))


def _formats(value: Node) -> list[Fixed | None]:
    """The formats that a value is quantized to before anything is computed from it; None is floats."""
    found: list[Fixed | None] = []
    for user in value.users:
        if isinstance(user.op, QuantizedOp):
            formats = user.op.formats
            found += [_fixed(user, role, formats.get(role)) for role in user.roles_of(value)]
        else:
            found += _formats(user) if keeps_values(user.op) else [None]
    return found


def _fixed(node: Node, role: str, format: Format | None) -> Fixed | None:
    try:
        return None if format is None else fixed_format(node, role, format)
    except UnfitError:
        return None  # the node says why


def _port_of_codes(source: Node) -> Port:
    quantizers = list(_quantizers(source))
    state = source.graph.state
    found = {(n.op, float(state[n.params["scale"]]) if "scale" in n.params else None) for n in quantizers}
    if len(found) != 1:
        raise UnfitError("the model quantizes its input to more than one format", "give it one")
    ((op, scale),) = found
    assert isinstance(op, Quantize)
    if "zero_point" in quantizers[0].params:
        raise UnfitError("the input has a zero point", "quantize to int<W>, without asym")
    bounds = op.bounds()
    numbers = Range(0, bounds.min, bounds.max)
    return Port(numbers, str(numbers), op.format, scale)


def _quantizers(value: Node) -> list[Node]:
    found: list[Node] = []
    for user in value.users:
        if isinstance(user.op, Quantize):
            found.append(user)
        elif is_view(user.op):
            found += _quantizers(user)
        else:
            raise UnfitError(f"{user.name} takes it as it is, in floats", "quantize it")
    return found


def output_scales(graph: Graph) -> dict[str, float | list[float]] | None:
    """What the host multiplies the outputs by: a number, one for each index of a dimension, or None.

    Returns:
        ``{"scale": number}`` or ``{"scale": numbers, "axis": dimension}``; None where they are no codes.
    """
    (node,) = graph.outputs
    while is_view(node.op):
        node = node.inputs[0]
    if not isinstance(node.op, Dequantize):
        return None
    if "scales" not in node.params:
        return {"scale": node.op.scale}
    scales: Any = graph.state[node.params["scales"]].double()
    return {"scale": scales.tolist(), "axis": node.op.axis % node.tensor_type.rank}

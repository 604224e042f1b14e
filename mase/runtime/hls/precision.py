"""How many bits the sums of a graph need: hls4ml's own default wraps around where they do not fit."""

from __future__ import annotations

from typing import Any, cast

from mase.ir import Fixed, Graph, Node
from mase.ir.ops import conv, nn
from mase.ir.ops.quantized import QuantizedOp, float_op
from mase.runtime.modules.grid import Grid

__all__ = ["input_precision", "precision_of"]

_INPUT_BITS = 16  # before the point, and after the last bit of the input's own format


def precision_of(graph: Graph) -> str:
    """The fixed-point type, as hls4ml writes it (all bits, those before the point), that holds every number.

    Bounds are symmetric, so that 8 bits, which reach from -128 to 127, count as -128 to 128.

    Example:
        >>> from mase.ir import parse_format, parse_type
        >>> from mase.ir.ops import core, integer
        >>> graph = Graph(level="quantized")
        >>> x = graph.add(core.Input(), type=parse_type("f32[N,3]"), name="x")
        >>> y = graph.add(integer.ReluInteger(data_in=parse_format("fixed<8,4>")), x)
        >>> precision_of(graph)
        'fixed<9,5>'
    """
    grids = [grid for node in graph.find(QuantizedOp) for grid in _grids(node)]
    frac = max((g.frac for g in grids), default=0)
    whole = max((g.bound.bit_length() - g.frac for g in grids), default=0) + 1
    return f"fixed<{whole + frac},{whole}>"


def input_precision(graph: Graph) -> str:
    """A type for the input that leaves its rounding to the first quantizer."""
    formats = [
        format
        for user in graph.inputs[0].users
        if isinstance(user.op, QuantizedOp)
        for format in user.op.formats.values()
        if isinstance(format, Fixed)
    ]
    frac = max((f.frac for f in formats), default=8)
    return f"fixed<{2 * _INPUT_BITS + max(frac, 0)},{_INPUT_BITS}>"


def _grids(node: Node) -> list[Grid]:
    """The numbers of a node's operands and of its result."""
    assert isinstance(node.op, QuantizedOp)
    found = {role: g for role, f in node.op.formats.items() if (g := Grid.of(f)) is not None}
    if isinstance(float_op(node.op), nn.Linear | conv.Conv) and {"data_in", "weight"} <= set(found):
        x, weight = found["data_in"], found["weight"]
        total = Grid(x.frac + weight.frac, x.bound * _largest(node, "weight"))
        if "bias" in found and "bias" in node.params:
            total = total.plus(Grid(found["bias"].frac, _largest(node, "bias")).rounded(total.frac))
        return [x, weight, total]
    operands = list(found.values())
    return [*operands, operands[0].plus(operands[1])] if len(operands) == 2 else operands


def _largest(node: Node, role: str) -> int:
    """The largest sum of the magnitudes of one output's codes."""
    from mase.runtime.kernels import encode

    assert isinstance(node.op, QuantizedOp)
    tensor = node.graph.state[node.params[role]]
    codes: Any = encode(tensor, cast(Fixed, node.op.formats[role]))
    return int(codes.long().abs().reshape(len(tensor), -1).sum(1).max())

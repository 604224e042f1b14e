"""The rules of level ``integer``: no float between the boundaries, no opaque op, no overflow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from mase.ir.diagnostics import Diagnostic
from mase.ir.formats import Dtype
from mase.ir.formats.code import Code
from mase.ir.graph import Graph, Node
from mase.ir.ops import core
from mase.ir.ops.exact import Dequantize, ExactOp, Quantize
from mase.ir.ops.moves import keeps_values
from mase.ir.ops.torch import Module
from mase.ir.ranges import ranges_of
from mase.ir.types import ScalarType, TensorType, TupleType, Type

__all__ = ["integer_faults"]


def integer_faults(graph: Graph) -> Iterator[Diagnostic]:
    """Why a graph is not at level ``integer``, though each of its nodes is well formed.

    Where weights are not at hand, overflow is neither proved nor excluded.
    """
    for node in graph.nodes:
        if (wrong := _float_fault(node)) is not None:
            yield node.fault(*wrong)
    yield from ranges_of(graph).faults


_REMEDY = "quantize the op that makes it, and legalize the graph again"


def _float_fault(node: Node) -> tuple[str, str] | None:
    """What is wrong with a node and the remedy."""
    op = node.op
    if isinstance(op, Module):
        return "an opaque module may compute anything", "capture it as ops, or leave the graph quantized"
    if isinstance(op, Quantize | Dequantize | core.Input):
        return None
    floats = [n for n in node.inputs if holds(n.type, "float")]
    if isinstance(op, ExactOp) or (not floats and not holds(node.type, "float")):
        computes = not isinstance(op, ExactOp) and not keeps_values(op)
        if computes and any(holds(n.type, "code") for n in node.inputs):
            return "nothing bounds what it makes of integers", "use an op of the dialect int"
        return None
    if isinstance(node.type, ScalarType) or keeps_values(op):
        return None  # a size; or a move at the boundary
    return f"its result is {node.type}: a float in the midst of integers", _REMEDY


def holds(node_type: Type, kind: Literal["float", "code"]) -> bool:
    """Whether a type has a tensor of floats (``float``) or of codes (``code``) in it."""
    if isinstance(node_type, TupleType):
        return any(holds(e, kind) for e in node_type.elements)
    if not isinstance(node_type, TensorType):
        return False
    format = node_type.format
    if kind == "code":
        return isinstance(format, Code)
    return not isinstance(format, Code) and not (isinstance(format, Dtype) and not format.is_float)

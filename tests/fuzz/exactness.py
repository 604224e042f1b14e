"""What a quantized graph promises: which of its executions must give the very same numbers."""

from __future__ import annotations

from mase.ir import Fixed, Format, Graph
from mase.ir.formats.binary import Binary
from mase.ir.formats.ternary import Ternary
from mase.ir.ops import core
from mase.ir.ops.exact import RoundsAlike
from mase.ir.ops.moves import keeps_values
from mase.ir.ops.quantized import QuantizedOp, role_formats
from mase.runtime.onnx.dyadic import inexact_scales

__all__ = ["depends_on_batch", "has_one_result", "rounds_alike"]


def depends_on_batch(graph: Graph) -> bool:
    """Whether a scale is taken from each batch anew, so that samples depend on each other."""
    return any(
        isinstance(format, Format)
        and not isinstance(format, Fixed)
        and not node.params.keys() & {role, f"{role}_scale"}
        for node in graph.find(QuantizedOp)
        for role, format in role_formats(node.op).items()
    )


def has_one_result(graph: Graph) -> bool:
    """Whether everybody computes the same, in whatever order: nothing is rounded in float on the way."""
    return not inexact_scales(graph) and not any(map(_in_float, map(_op, graph.nodes)))


def rounds_alike(graph: Graph, integer: Graph) -> bool:
    """Whether integers are promised to be those of the quantized graph.

    Args:
        graph: the quantized graph.
        integer: what ``legalize-casts`` made of it.
    """
    ops = [node.op for node in graph.find(QuantizedOp)]
    floats = any(op.family == "scale_integer" and op.requant == "float" for op in ops)
    doubtful = any(RoundsAlike in n.meta and n.meta[RoundsAlike].doubtful for n in integer.nodes)
    return not doubtful and not (floats and inexact_scales(graph))


def _op(node: object) -> object:
    return node.op  # type: ignore[attr-defined]


def _in_float(op: object) -> bool:
    if not isinstance(op, QuantizedOp):
        return not isinstance(op, core.Input | core.Parameter) and not keeps_values(op)  # type: ignore[arg-type]
    signs = isinstance(op.formats.get("weight"), Binary | Ternary)  # a bias beside them is added as it is
    return signs or (op.base.off_grid and op.nonlinear == "float")

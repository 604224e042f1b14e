"""How far numbers may be apart: not at all, but where a quantized graph leaves something in float."""

from __future__ import annotations

from dataclasses import dataclass

from mase.ir import Format, Graph, Node
from mase.ir.formats import Binary, Fixed, Integer, Ternary
from mase.ir.ops import attention, conv, core, nn, norm, pool, tensor
from mase.ir.ops.moves import keeps_values
from mase.ir.ops.quantized import QuantizedOp, float_op

__all__ = ["EXACT", "LAST_BITS", "Tolerance", "in_float"]

_EXACT = (
    *(conv.Conv, conv.ConvTranspose, nn.Embedding, nn.Hardtanh, nn.Linear, nn.Relu, nn.Relu6, norm.BatchNorm),
    *(attention.KVCache, attention.RotaryEmbedding, pool.AdaptivePool, pool.AvgPool, pool.MaxPool),
    *(tensor.Add, tensor.Concat, tensor.MatMul, tensor.Mean, tensor.Mul, tensor.Sub),
)
"""Ops that are sums, products and choices, exact where operands have formats."""
LAST_BITS = 2.0**-20
"""Of float32, by which engines differ in functions, in orders of sums and in products with scales."""


@dataclass(frozen=True)
class Tolerance:
    """How far apart numbers count as equal, as a share of the largest.

    Args:
        share: of every value.
        inexact: names of values that engines compute in float; in them the last bits may differ.

    Example:
        >>> tolerance = Tolerance(inexact=frozenset({"tanh"}))
        >>> tolerance.of("linear"), tolerance.of("tanh") == LAST_BITS
        (0.0, True)
    """

    share: float = 0.0
    inexact: frozenset[str] = frozenset()

    def of(self, name: str) -> float:
        """The share for the value of this name."""
        return max(self.share, LAST_BITS if name in self.inexact else 0.0)


EXACT = Tolerance()
"""Bit for bit."""


def in_float(graph: Graph) -> frozenset[str]:
    """The values of a quantized graph that no quantizer has rounded since a float function made them.

    Each engine computes ``tanh`` in its own way, and sums of floats in its own order. The next quantizer
    takes the last bits away, so what comes after it is exact again.

    Args:
        graph: a graph of level ``quantized``.

    Example:
        >>> in_float(Graph())
        frozenset()
    """
    found: set[str] = set()
    for node in graph.nodes:
        if _computes_in_float(node) or any(operand.name in found for operand in _unrounded(node)):
            found.add(node.name)
    return frozenset(found)


def _computes_in_float(node: Node) -> bool:
    op = node.op
    if isinstance(op, QuantizedOp):
        exact = isinstance(float_op(op), _EXACT) and all(_has_codes(f) for f in _used(node, op))
        return op.data_out is None and op.nonlinear == "float" and not exact
    return not (isinstance(op, core.Input | core.Parameter) or keeps_values(op))


def _used(node: Node, op: QuantizedOp) -> list[Format | None]:
    """The formats of what the op is given; a bias beside scaled integers is one in units of the products."""
    operands = (op.schema().operand(i) for i in range(len(node.inputs)))
    roles = [role for role in (*operands, *node.params) if role in op.formats]
    return [op.formats[role] for role in roles if role != "bias" or op.family != "scale_integer"]


def _has_codes(format: Format | None) -> bool:
    """Whether sums of products are exact in float32."""
    return isinstance(format, Fixed | Integer | Binary | Ternary)


def _unrounded(node: Node) -> list[Node]:
    """The operands whose last bits reach the result."""
    op = node.op
    if not isinstance(op, QuantizedOp):
        return list(node.inputs)
    if op.data_out is not None:
        return []
    roles = [op.schema().operand(i) for i in range(len(node.inputs))]
    return [operand for operand, role in zip(node.inputs, roles, strict=True) if op.formats.get(role) is None]

"""What is known of the signs of values before anything runs."""

from __future__ import annotations

from mase.ir.node import Node
from mase.ir.ops import nn, pool, tensor
from mase.ir.ops.moves import keeps_values
from mase.ir.ops.quantized import float_op
from mase.ir.types import TensorType

__all__ = ["never_negative"]

_POSITIVE = nn.Relu | nn.Relu6 | nn.Sigmoid | nn.Hardsigmoid | nn.Softmax | nn.Softplus
_KEEPS_SIGN = tensor.Add | tensor.Mul | tensor.Mean | pool.AvgPool | pool.AdaptivePool


def never_negative(node: Node) -> bool:
    """Whether no number of a value is negative, by the op that makes it and those before.

    Example:
        >>> from mase.ir import Graph, parse_type
        >>> from mase.ir.ops.core import Input
        >>> graph = Graph()
        >>> x = graph.add(Input(), type=parse_type("f32[N]"), name="x")
        >>> y = graph.add(nn.Relu(), x, name="y")
        >>> never_negative(x), never_negative(graph.add(tensor.Add(), y, y, name="z"))
        (False, True)
    """
    op = float_op(node.op)
    if isinstance(op, _POSITIVE):
        return True
    tensors = [n for n in node.inputs if isinstance(n.type, TensorType)]
    keeps = isinstance(op, _KEEPS_SIGN) or keeps_values(op)
    return keeps and bool(tensors) and all(map(never_negative, tensors))

"""How many bits each operand, weight and result of a node takes, by the formats of the graph."""

from __future__ import annotations

from mase.ir.graph import Node
from mase.ir.ops.moves import is_view
from mase.ir.ops.quantized import role_formats
from mase.ir.types import TensorType, Type

__all__ = ["operand_width", "param_width", "result_width"]


def operand_width(node: Node, position: int) -> int:
    """Bits of each element of an operand: of the format that the op quantizes it to, else of its type.

    Args:
        node: the node.
        position: which of its operands, counted from 0.
    """
    format = role_formats(node.op).get(node.op.schema().operand(position))
    return format.bits if format else _type_width(node.inputs[position].type)


def param_width(node: Node, role: str) -> int:
    """Bits of each element of a weight: of the format it is quantized to or packed in, else of its type."""
    entry = node.graph.state.entry(node.params[role])
    format = role_formats(node.op).get(role) or (entry.stored if node.op.level == "integer" else None)
    return format.bits if format else _type_width(entry.type)


def result_width(node: Node) -> int:
    """Bits of each element of the result: as wide as the widest of its users reads it.

    A user quantizes what it reads, so the producer may store no more than that. What the graph
    returns, or nothing uses, has the width of its type.
    """
    if format := role_formats(node.op).get("data_out"):
        return format.bits
    widths = [
        result_width(user) if is_view(user.op) else operand_width(user, i)
        for user in node.users
        for i, operand in enumerate(user.inputs)
        if operand is node
    ]
    if not widths or any(n is node for n in node.graph.outputs):
        widths.append(_type_width(node.type))
    return max(widths)


def _type_width(type: Type) -> int:
    return type.format.bits if isinstance(type, TensorType) else 0

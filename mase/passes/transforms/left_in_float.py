"""What `quantize` leaves in float: what has no other form, and what gets one only where a rule names it."""

from __future__ import annotations

from mase.ir.formats import Dtype
from mase.ir.graph import Graph, Node
from mase.ir.ops import core, nn, norm, tensor
from mase.ir.ops.moves import called_name
from mase.ir.ops.quantized import float_op
from mase.ir.ops.torch import Call
from mase.ir.types import TensorType, Type

__all__ = ["obstacle", "reservation", "tables"]

_SQUARES = ("operator.pow", "pow", "square")


def obstacle(node: Node) -> str | None:
    """Why a node cannot be quantized, None if it can."""
    op = float_op(node.op)
    if not op.quantized_roles:
        return f"{op.name} has no quantized form"
    if isinstance(op, nn.Embedding) and not _has_weights(node):
        return "it looks up constants, which its users quantize"
    for role, operand in node.named_inputs:
        if role not in op.quantized_roles or role == "mask" or _is_float(operand.type):
            continue  # a mask may also say what to keep
        if isinstance(operand.type, TensorType):
            return f"its operand {operand.name!r} holds {operand.type.format}, no floats"
        return f"its operand {operand.name!r} is {operand.type}, no tensor"
    if isinstance(op, norm.BatchNorm) and "running_mean" not in node.params:
        return "it has no running statistics, so it normalises by each batch"
    return None


def reservation(node: Node, constant: set[str]) -> str | None:
    """Why a node had better stay in float unless a rule names it, None if nothing speaks against it.

    Args:
        node: a node that can be quantized.
        constant: what `tables` found.
    """
    if node.name in constant:
        return "it computes a table from constants and integers"
    if isinstance(float_op(node.op), tensor.Mean) and _is_square(node.inputs[0]):
        return "it is a mean of squares, whose range is that of the operand squared"
    if isinstance(float_op(node.op), tensor.Div):
        return "it is a division, and its divisor may round to zero"
    return None


def tables(graph: Graph) -> set[str]:
    """The names of nodes that depend on no weight and no float that the caller gives.

    Such are the angles of rotary embeddings, and masks made of lengths: to quantize them saves
    nothing, and a mask's range hides everything else.
    """
    found: set[str] = set()
    for node in graph.nodes:
        if isinstance(node.op, core.Input):
            is_table = not _is_float(node.type)
        else:
            is_table = not _has_weights(node) and all(operand.name in found for operand in node.inputs)
        if is_table:
            found.add(node.name)
    return found


def _has_weights(node: Node) -> bool:
    state = node.graph.state
    return any(state.entry(key).kind in ("parameter", "frozen") for key in node.params.values())


def _is_float(type: Type) -> bool:
    return isinstance(type, TensorType) and isinstance(type.format, Dtype) and type.format.is_float


def _is_square(node: Node) -> bool:
    if isinstance(node.op, Call):
        return called_name(node.op) in _SQUARES
    return isinstance(float_op(node.op), tensor.Mul) and node.inputs[0] is node.inputs[1]

"""The formats that ops need in order to compute by tables: those of their results, and of norms' biases."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from mase.ir.diagnostics import MaseError
from mase.ir.format import Format
from mase.ir.formats import Fixed, FixedWidth, Integer
from mase.ir.graph import Graph, Node
from mase.ir.op import Op, OpError
from mase.ir.ops import attention, nn, norm, tensor
from mase.ir.ops.moves import keeps_values
from mase.ir.ops.quantized import QuantizedOp, float_op

__all__ = ["MASK", "check_tables", "function_range", "mask_sums", "with_results"]

_BIAS_WIDTH = 16

MASK = Fixed(16, 8)
"""Of what is added to scores; -128, its least number, leaves a position out."""


def with_results(
    node: Node, formats: Mapping[str, Format | None], given: Collection[str]
) -> dict[str, Format | None]:
    """What is asked of a node that is to compute by tables.

    Where nothing else is said the result is as wide as the operand, the weights of a softmax are unsigned
    numbers up to 1, the bias of a norm has 16 bits, and so has a mask that is added. The weight of a norm in
    ``int<W>`` becomes ``fixed<W>``.

    Args:
        node: a node whose op is `off_grid`.
        formats: by role.
        given: the roles whose formats somebody said.
    """
    op, first = float_op(node.op), formats.get("data_in")
    found: dict[str, Format | None] = {}
    if isinstance(op, attention.Attention):
        found["probs"] = _weights(formats.get("query"))
        if len(node.inputs) > 3 and str(node.inputs[3].tensor_type.format) != "bool":
            found["mask"] = MASK
    elif isinstance(op, nn.Softmax):
        found["data_out"] = _weights(first)
    elif isinstance(first, Fixed | FixedWidth | Integer):
        found["data_out"] = FixedWidth(first.width, rounding=first.rounding)
        if isinstance(op, norm.LayerNorm) and "bias" in node.params:
            found["bias"] = FixedWidth(_BIAS_WIDTH, rounding=first.rounding)
    weight = formats.get("weight")
    if isinstance(weight, Integer):  # what multiplies a normalised number has a scale of its own nowhere
        formats = {**formats, "weight": FixedWidth(weight.width, rounding=weight.rounding)}
    return dict(formats) | {role: format for role, format in found.items() if role not in given}


def _weights(like: Format | None) -> Format | None:
    if not isinstance(like, Fixed | FixedWidth | Integer):
        return like
    return Fixed(like.width, like.width, signed=False, rounding=like.rounding)


def mask_sums(graph: Graph, tables: Collection[str]) -> set[str]:
    """The names of sums of tables that attention adds to its scores.

    They are numbers such as minus infinity, of which no statistics should be taken.

    Args:
        graph: the graph.
        tables: the names of nodes that depend on no weight and no float from outside.
    """
    found: set[str] = set()
    for node in reversed(list(graph.nodes)):
        if any(_adds_mask(user, node, found) for user in node.users):
            found.add(node.name)
    return {n for n in found & set(tables) if isinstance(float_op(graph[n].op), tensor.Add | tensor.Sub)}


def _adds_mask(user: Node, value: Node, found: set[str]) -> bool:
    op = float_op(user.op)
    if isinstance(op, attention.Attention):
        return user.inputs.index(value) == 3
    return user.name in found and (keeps_values(op) or isinstance(op, tensor.Add | tensor.Sub))


def function_range(op: Op, formats: Mapping[str, Format | None]) -> tuple[float, float] | None:
    """The range of the results of a function of one number, None of any other op.

    Args:
        op: the float op.
        formats: that of ``data_in`` is complete.
    """
    from mase.runtime.exact.piecewise import MAX_PIECEWISE_BITS
    from mase.runtime.exact.scalars import has_table
    from mase.runtime.exact.tables import value_range

    source = formats.get("data_in")
    if not isinstance(source, Fixed) or source.width > MAX_PIECEWISE_BITS or not has_table(op):
        return None
    return value_range(op, source)


def check_tables(node: Node, op: QuantizedOp) -> None:
    """Whether integers can compute a node as asked.

    Raises:
        MaseError: if a format is missing or too wide, with the remedy.
    """
    from mase.runtime.exact.piecewise import MAX_PIECEWISE_BITS
    from mase.runtime.exact.scalars import has_table

    wrong, source = op.tableless(op.formats) if not op.has_tables() else None, op.formats.get("data_in")
    wide = isinstance(source, Fixed | Integer) and source.width > MAX_PIECEWISE_BITS
    if wide and has_table(op.float_op):
        wrong = f"a function of {source} would take too many lines"
    try:
        roles = {role: node.graph.state.entry(key).type for role, key in node.params.items()}
        op.infer(*(operand.type for operand in node.inputs), **roles)
    except OpError as error:
        wrong = str(error)
    if wrong is not None:
        raise MaseError.of(
            wrong,
            node=node.name,
            source=node.loc,
            help='say formats of at most 24 bits in a rule for the node, or nonlinear = "float" there',
        )

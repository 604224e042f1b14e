"""``tabulate``: functions of positions and of masks become tables, which integers index."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mase.ir.diagnostics import UsageError
from mase.ir.formats import Dtype
from mase.ir.graph import Graph, Node
from mase.ir.ops import core, nn, tensor
from mase.ir.ops.moves import called_name
from mase.ir.ops.torch import Call
from mase.ir.template import Template
from mase.ir.types import TensorType
from mase.passes.context import Context
from mase.passes.registry import register_pass
from mase.passes.transforms.dce import dce
from mase.passes.transforms.fold_constants import constants_of, fresh_key, values_of

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["tabulate"]

# fmt: off
_POINTWISE = frozenset({
    "_to_copy", "abs", "add", "alias", "clamp", "clone", "contiguous", "cos", "detach", "div", "exp", "log",
    "masked_fill", "mul", "neg", "pow", "reciprocal", "rsqrt", "rsub", "sin", "sqrt", "sub", "tanh", "to",
    "where",
})
# fmt: on
_FILLS = {"zeros": 0.0, "zeros_like": 0.0, "new_zeros": 0.0, "ones": 1.0, "ones_like": 1.0, "new_ones": 1.0}


@register_pass("tabulate", requires=("float",))
def tabulate(graph: Graph, ctx: Context, *, positions: int = 2048) -> None:
    """Look up in tables what depends on positions or on a mask alone, whatever the length of a sequence.

    The cosines and sines of a rotary embedding are a function of each position, an additive mask is one of
    each element of a mask of booleans. Such a function, element by element of integers, becomes an
    embedding: a row for each integer, computed once. So it has a form in integers. An integer beyond the
    table is an error wherever the graph runs, never a wrong number.

    Args:
        graph: the graph.
        ctx: the context of the run.
        positions: the rows of a table: integers from 0 to ``positions - 1`` may occur. Booleans have two.

    Raises:
        UsageError: if there is to be no row.

    Example:
        >>> import torch, mase
        >>> class Angles(torch.nn.Module):
        ...     def forward(self, x):
        ...         positions = torch.arange(x.shape[1])
        ...         return x * (positions[:, None] * torch.tensor([1.0, 0.1])).cos()
        >>> graph = mase.trace(Angles(), (torch.zeros(3, 4, 2),), dynamic={"x": {1: "L"}})
        >>> tabulate(graph, Context(graph), positions=100)
        >>> table = graph.find(nn.Embedding)[0]
        >>> str(table.type), str(graph.state.entry(table.params["weight"]).type)
        ('f32[L,2]', 'f32[100,2]')
    """
    if positions < 1:
        raise UsageError.of(f"tabulate: positions is {positions}", help="give the longest sequence's length")
    roots = _roots(graph)
    kept = {node.name for node in graph.outputs}
    wanted = [
        node
        for node in roots
        if _is_float(node) and (node.name in kept or any(user not in roots for user in node.users))
    ]
    tables = [_table(graph, node, roots[node], positions) for node in wanted]
    for node, table in zip(wanted, tables, strict=True):
        _look_up(graph, node, roots[node], table)
        ctx.stat("tables")
    if wanted:
        dce(graph, ctx)


# -- what is a function of integers, element by element -----------------------------------------


def _roots(graph: Graph) -> dict[Node, Node]:
    """Every value of floats that is a function of one tensor of integers, with that tensor."""
    constant, found = constants_of(graph), dict[Node, Node]()
    for node in graph.nodes:
        if node.name in constant or not _is_pointwise(node) or not _is_float(node):
            continue
        sources: set[Node] = set()
        for operand in node.inputs:
            if operand in found:
                sources.add(found[operand])
            elif operand.name not in constant and _fill(operand) is None:
                sources.add(operand)
        root = sources.pop() if len(sources) == 1 else None
        if root is not None and _is_whole(root) and _fits(node, root, constant):
            found[node] = root
    return found


def _is_pointwise(node: Node) -> bool:
    op = node.op
    if isinstance(op, Call):
        return called_name(op) in _POINTWISE
    return isinstance(op, tensor.Add | tensor.Sub | tensor.Mul | tensor.Div | tensor.Concat)


def _fits(node: Node, root: Node, constant: Mapping[str, Node]) -> bool:
    """Whether each element is one of the root's, or a row of features is where the root has but one."""
    rows, shape = root.tensor_type.shape, node.tensor_type.shape
    if not rows or len(rows) != len(shape) or rows[:-1] != shape[:-1] or not isinstance(shape[-1], int):
        return rows == shape != () and not isinstance(node.op, tensor.Concat) and _flat(node, constant)
    if isinstance(node.op, tensor.Concat):
        last = node.op.dim in (-1, len(shape) - 1)
        return last and rows[-1] == 1 and all(n.name not in constant for n in node.inputs)
    return rows[-1] == 1 or (rows == shape and _flat(node, constant))


def _flat(node: Node, constant: Mapping[str, Node]) -> bool:
    """Whether the constants that a node takes are single numbers."""
    known = [n for n in node.inputs if n.name in constant]
    return all(not isinstance(n.type, TensorType) or set(n.type.shape) <= {1} for n in known)


def _is_float(node: Node) -> bool:
    type = node.type
    return isinstance(type, TensorType) and isinstance(type.format, Dtype) and type.format.is_float


def _is_whole(node: Node) -> bool:
    type = node.type
    return isinstance(type, TensorType) and isinstance(type.format, Dtype) and not type.format.is_float


def _fill(node: Node) -> float | None:
    """The number that a node gives to each of its elements, None if they differ or it is unknown."""
    if not isinstance(node.op, Call):
        return None
    name = called_name(node.op)
    if name in ("full", "full_like", "new_full"):
        given: object = (*node.op.args.value, node.op.kwargs.value.get("fill_value"))[1]
        return float(given) if isinstance(given, int | float) else None
    return _FILLS.get(name)


# -- tables -------------------------------------------------------------------------------------


def _table(graph: Graph, node: Node, root: Node, positions: int) -> Tensor:
    """The function's rows for the integers from 0: ``[rows, features]``."""
    import torch

    is_bool = root.tensor_type.format == Dtype("bool")
    rows = torch.arange(2).bool() if is_bool else torch.arange(positions)
    shape = [1] * root.tensor_type.rank
    shape[-2 if _has_rows(root) else -1] = len(rows)
    part = graph.copy()
    _replace(part, part[root.name], rows.view(shape))
    for each in list(part.nodes):
        if (value := _fill(each)) is not None and _is_float(each):
            _replace(part, each, torch.tensor(value))
    (found,) = values_of(part, [part[node.name]])
    return found.reshape(len(rows), -1).contiguous()


def _has_rows(root: Node) -> bool:
    """Whether the last dimension is there for features."""
    return root.tensor_type.rank > 1 and root.tensor_type.shape[-1] == 1


def _replace(graph: Graph, node: Node, value: Tensor) -> None:
    key = fresh_key(graph, node.name)
    graph.state[key] = value
    node.op, node.inputs, node.params = core.Parameter(), (), {"value": key}


def _look_up(graph: Graph, node: Node, root: Node, table: Tensor) -> None:
    key = fresh_key(graph, f"{node.scope}.{node.name}" if node.scope else node.name)
    graph.state[key] = table
    graph.state.declare(key, graph.state.entry(key).type, "buffer")
    with graph.inserting_before(node):
        indices = root
        if root.tensor_type.format == Dtype("bool"):
            indices = _call(graph, node, "aten.to.dtype", "(%0, i64)", indices, format=Dtype("i64"))
        if _has_rows(root):
            indices = _call(graph, node, "aten.squeeze.dim", "(%0, -1)", indices, drop=1)
            node.op, node.inputs, node.params = nn.Embedding(), (indices,), {"weight": key}
            return
        made = graph.add(
            nn.Embedding(),
            indices,
            params={"weight": key},
            name=f"{node.name}_rows",
            like=node,
        )
    node.op = Call(target="aten.squeeze.dim", args=Template("(%0, -1)"), returns=node.type)
    node.inputs, node.params = (made,), {}


def _call(
    graph: Graph, node: Node, target: str, args: str, x: Node, *, format: Dtype | None = None, drop: int = 0
) -> Node:
    """An ATen call on integers, for the sake of a node."""
    type = x.tensor_type
    returns = TensorType(format or type.format, type.shape[: type.rank - drop])
    op = Call(target=target, args=Template(args), returns=returns)
    return graph.add(op, x, type=returns, name=f"{node.name}_index", like=node)

"""Sizes: shapes that a file computes, as dimensions, and dimensions as nodes."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from mase.frontends.onnx.value import Value
from mase.ir.diagnostics import MaseError
from mase.ir.dim import Dim, Expr, dim_max, parse_dim
from mase.ir.graph import Graph, Node
from mase.ir.ops.core import Input
from mase.ir.ops.torch import Call
from mase.ir.template import Hole, Template
from mase.ir.types import ScalarType, TensorType

if TYPE_CHECKING:
    from mase.frontends.onnx.place import Place

__all__ = ["dims_of", "evaluated", "of_dims", "size_node", "sliced"]

_BINARY: dict[str, Callable[[Dim, Dim], Dim]] = {
    "Add": lambda a, b: a + b,
    "Sub": lambda a, b: a - b,
    "Mul": lambda a, b: a * b,
    "Div": lambda a, b: a // b,
    "Mod": lambda a, b: a % b,
    "Max": dim_max,
}
_CALLED: dict[type[ast.operator], str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.FloorDiv: "floordiv",
    ast.Mod: "mod",
}


def dims_of(value: Value) -> tuple[Dim, ...] | None:
    """The numbers of a value that is a constant or computed from sizes; None for any other."""
    if value.dims is not None or value.const is None or value.const.is_floating_point():
        return value.dims
    numbers: list[Any] = cast(Any, value.const.reshape(-1)).tolist()
    return tuple(int(n) for n in numbers)


def of_dims(dims: Sequence[Dim], scalar: bool = False) -> Value:
    """A value of such numbers; a constant where none is symbolic."""
    import torch

    if all(isinstance(d, int) for d in dims):
        const = torch.tensor(cast("list[int]", list(dims)), dtype=torch.int64)
        return Value(const=const.reshape(()) if scalar else const)
    return Value(dims=tuple(dims), scalar=scalar)


def evaluated(place: Place) -> Value | None:
    """What an operator makes of sizes; None if it is none that does, or an operand is no size."""
    values = [v for v in place.inputs if v is not None]
    if not any(v.dims is not None for v in values):
        return None
    known = [dims_of(v) for v in values]
    if any(k is None for k in known) or any(v.const is not None and v.const.dim() > 1 for v in values):
        return None
    if place.kind in ("Slice", "Gather") and any(v.dims is not None for v in values[1:]):
        return None
    numbers = cast("list[tuple[Dim, ...]]", known)
    return _moved(place.kind, values, numbers) or _computed(place.kind, values, numbers)


def _moved(kind: str, values: list[Value], numbers: list[tuple[Dim, ...]]) -> Value | None:
    match kind:
        case "Identity" | "Cast":
            return values[0]
        case "Squeeze":
            return of_dims(numbers[0], scalar=len(numbers[0]) == 1)
        case "Unsqueeze" if values[0].scalar:
            return of_dims(numbers[0])
        case "Reshape" if len(numbers[1]) < 2:
            return of_dims(numbers[0], scalar=len(numbers[1]) == 0)
        case "Concat":
            return of_dims([d for part in numbers for d in part])
        case "Gather":
            return of_dims([numbers[0][int(cast(int, i))] for i in numbers[1]], _is_scalar(values[1]))
        case "Slice":
            start, end = (int(cast(int, numbers[i][0])) for i in (1, 2))
            step = int(cast(int, numbers[4][0])) if len(numbers) > 4 else 1
            return of_dims(numbers[0][start:end:step])
        case _:
            return None


def _computed(kind: str, values: list[Value], numbers: list[tuple[Dim, ...]]) -> Value | None:
    match kind:
        case "Equal":
            return of_dims([int(a == b) for a, b in _spread(*numbers)])
        case "Where":
            return of_dims([a if yes == 1 else b for yes, a, b in _spread(*numbers)])
        case kind if kind in _BINARY:
            scalar = all(map(_is_scalar, values))
            return of_dims([_BINARY[kind](a, b) for a, b in _spread(*numbers)], scalar)
        case _:
            return None


def _is_scalar(value: Value) -> bool:
    return value.scalar or (value.const is not None and value.const.dim() == 0)


def _spread(*numbers: tuple[Dim, ...]) -> list[tuple[Dim, ...]]:
    """The elements side by side, single ones as often as there are others."""
    size = max(map(len, numbers))
    return list(zip(*(n * (size // len(n)) for n in numbers), strict=True))


def sliced(size: Dim, start: Dim, end: Dim, step: int = 1) -> Dim:
    """How many of ``size`` elements are left between two ends, which count from the end if negative.

    Example:
        >>> sliced(9, 1, -1, 2), sliced(9, -4, 2**63 - 1)
        (4, 4)
    """
    first = size + start if isinstance(start, int) and start < 0 else start
    last = size + end if isinstance(end, int) and end < 0 else end
    if isinstance(last, int) and (last >= 2**31 or (isinstance(size, int) and last > size)):
        last = size
    if isinstance(first, int) and isinstance(size, int):
        first = min(max(first, 0), size)
    length = last - first
    length = max(length, 0) if isinstance(length, int) else length
    return length if step == 1 else (length + step - 1) // step


def size_node(graph: Graph, value: Expr) -> Node:
    """The node of a symbolic size, computed from those of inputs; equal ones are one.

    Raises:
        MaseError: if no input has one of its symbols.
    """
    found = _node_of(graph, ast.parse(str(value), mode="eval").body)
    assert isinstance(found, Node)
    return found


def _node_of(graph: Graph, tree: ast.expr) -> int | Node:
    text = ast.unparse(tree)
    match tree:
        case ast.Constant(value=int(value)):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _called(graph, "operator.mul", text, -1, _node_of(graph, operand))
        case ast.Name(id=name):
            return _read(graph, name)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _CALLED:
            sides = _node_of(graph, left), _node_of(graph, right)
            return _called(graph, f"operator.{_CALLED[type(op)]}", text, *sides)
        case _:
            raise MaseError.of(f"size {text} has no form as a node")


def _read(graph: Graph, name: str) -> int | Node:
    for node in graph.find(Input):
        shape = node.tensor_type.shape if isinstance(node.type, TensorType) else ()
        axis = next((i for i, d in enumerate(shape) if str(d) == name), None)
        if axis is not None:
            return _called(graph, "aten.sym_size.int", name, node, axis)
    raise MaseError.of(f"size {name} is that of no input", help="export the model with the size in an input")


def _called(graph: Graph, target: str, text: str, *args: int | Node) -> int | Node:
    value = parse_dim(text)
    if isinstance(value, int):
        return value
    nodes = [a for a in args if isinstance(a, Node)]
    template = Template.of(tuple(Hole(nodes.index(a)) if isinstance(a, Node) else a for a in args))
    op = Call(target=target, args=template, returns=ScalarType("int", value))
    same = (n for n in graph.nodes if n.type == op.returns)
    return next(same, None) or graph.add(op, *nodes, type=op.returns, name="size")

"""Arguments in and results out: where inputs lie in the caller's arguments, what the graph returns."""

from __future__ import annotations

import ast
import operator
import sys
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from importlib import import_module
from types import SimpleNamespace
from typing import Any, cast

from torch import fx

from mase.ir import Graph, MaseError, Node
from mase.ir.records import record_kind
from mase.runtime.lowering.call import named

__all__ = ["add_inputs", "add_output", "arranged", "record_class"]


def add_inputs(graph: Graph, target: fx.Graph, add: Callable[[Node, fx.Node], None]) -> None:
    """Make a placeholder of each argument, and take the graph's inputs out of them.

    Args:
        graph: the graph with the inputs.
        target: the fx graph to add to.
        add: told each input and the fx node that holds its value.
    """
    paths = {node: _parse(node) for node in graph.inputs}
    roots = {name: target.placeholder(name) for name in dict.fromkeys(root for root, _ in paths.values())}
    for node, (root, steps) in paths.items():
        value = roots[root]
        for function, key in steps:
            value = target.call_function(function, (value, key))
        add(node, value)


_Step = tuple[Callable[..., Any], Any]


def arranged(graph: Graph, values: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of the lowered module by keyword, made of a value for each input of the graph.

    Args:
        graph: the graph with the inputs.
        values: by the names of the input nodes.

    Example:
        >>> from mase.ir import parse_type
        >>> from mase.ir.ops import core
        >>> graph = Graph()
        >>> _ = graph.add(core.Input(path="past[1]"), type=parse_type("f32[N]"), name="past_1")
        >>> arranged(graph, {"past_1": 5})
        {'past': {1: 5}}
    """
    made: dict[str, Any] = {}
    for node in graph.inputs:
        root, steps = _parse(node)
        made[root] = _placed(made.get(root), steps, values[node.name])
    return made


def _placed(container: Any, steps: list[_Step], value: Any) -> Any:
    """What steps lead through, with the value at their end; what is taken by index may be a dictionary."""
    if not steps:
        return value
    (function, key), *rest = steps
    if function is getattr:
        container = container or SimpleNamespace()
        setattr(container, key, _placed(getattr(container, key, None), rest, value))
        return container
    container = {} if container is None else container
    container[key] = _placed(container.get(key), rest, value)
    return container


def _parse(node: Node) -> tuple[str, list[_Step]]:
    path: str = getattr(node.op, "path", "") or node.name
    try:
        return _steps(ast.parse(path, mode="eval").body)
    except (SyntaxError, ValueError):
        raise MaseError.of(f"malformed input path {path!r}", node=node.name, help="write past[0]") from None


def _steps(expression: ast.expr) -> tuple[str, list[_Step]]:
    match expression:
        case ast.Name(id=name):
            return name, []
        case ast.Subscript(value=inner, slice=ast.Constant(value=key)):
            root, steps = _steps(inner)
            return root, [*steps, (operator.getitem, key)]
        case ast.Attribute(value=inner, attr=attribute) if not attribute.startswith("_"):
            root, steps = _steps(inner)
            return root, [*steps, (getattr, attribute)]
        case _:
            raise ValueError(ast.unparse(expression))


def add_output(graph: Graph, target: fx.Graph, values: Mapping[Node, fx.Node]) -> None:
    """Return the graph's outputs arranged as its structure says."""
    outputs = graph.outputs

    def record(cls: str, fields: Mapping[str, Any]) -> fx.Node:
        return target.call_function(record_class(cls), kwargs=dict(fields))

    target.output(graph.structure.fill(lambda i: values[outputs[i]], named, record))


def record_class(name: str) -> Callable[..., Any]:
    """What makes the dataclass, named tuple, transformers output or registered record that a graph returns.

    Only `transformers` is imported for it; any other module must be loaded already, so that a
    graph's text cannot make Python import or call what it likes.

    Raises:
        MaseError: if the name is not that of such a class.
    """
    kind = record_kind(name)
    if kind is not None:
        return kind.make
    module, _, attribute = name.rpartition(".")
    if module.startswith("transformers."):
        import_module(module)
    found: Any = getattr(sys.modules.get(module), attribute, None)
    if isinstance(found, type) and (is_dataclass(found) or _is_named_tuple(found)):
        return cast("Callable[..., Any]", found)
    raise MaseError.of(
        f"the graph returns a {name}, which is not loaded or is no dataclass or named tuple",
        help=f"import {module or 'its module'} first",
    )


def _is_named_tuple(cls: Any) -> bool:
    return hasattr(cls, "_fields") and issubclass(cls, tuple)

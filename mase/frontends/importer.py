"""From the nodes of a traced fx graph to a MASE graph, whichever tracer made them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import fx, nn

from mase.frontends.layout import class_name
from mase.frontends.leaves import Leaf, bind_operands, role_keys
from mase.frontends.locations import location_of, scope_of
from mase.frontends.rules import CallSite, Unit, from_call
from mase.frontends.rules.base import Mode
from mase.frontends.values import Dims, format_of
from mase.ir.diagnostics import MaseError
from mase.ir.graph import Graph, Node
from mase.ir.op import Op, OpError
from mase.ir.ops import core
from mase.ir.ops import torch as torch_ops
from mase.ir.template import Hole, Named, Record, Template
from mase.ir.types import TensorType, TupleType, Type

__all__ = ["Importer"]

_DROPPED = ("device", "pin_memory", "layout")
"""Keyword arguments of ATen calls that a graph does not keep: values follow the device of the inputs."""


class Importer:
    """Adds nodes to a graph for what a tracer saw.

    Args:
        graph: the graph, whose state holds the model's weights already.
        dims: names for torch's symbolic sizes.
        mode: the mode of the trace.
        prefix: what module paths of the trace begin with beside the model's own.
    """

    def __init__(self, graph: Graph, dims: Dims, mode: Mode, prefix: str = "") -> None:
        self.graph = graph
        self.dims = dims
        self._mode: Mode = mode
        self._prefix = prefix
        self._parameters: dict[str, Node] = {}

    def scope(self, node: fx.Node) -> str:
        """The module path of a traced call."""
        return scope_of(node.meta, self._prefix)

    def parameter(self, key: str) -> Node:
        """The value of a weight as an operand; one node for each."""
        key = self.graph.state.resolve(key)
        if key not in self._parameters:
            scope = key.rpartition(".")[0]
            op = core.Parameter()
            self._parameters[key] = self.graph.add(op, params={"value": key}, name=key, scope=scope)
        return self._parameters[key]

    def call(
        self, node: fx.Node, target: str, args: Sequence[Any], kwargs: Mapping[str, Any], value: Any
    ) -> Node:
        """Add the node of a call of a function.

        Args:
            node: the traced call, for its scope and line.
            target: the text of the function.
            args: its positional arguments, operands as nodes of the graph.
            kwargs: its keyword arguments.
            value: what it gave in the trace.
        """
        seen = self.dims.type_of(value)
        scope = self.scope(node)
        unit = from_call(target, CallSite(self._mode, scope), args, kwargs)
        if unit is not None and (made := self._unit(node, unit, seen, node.name, scope)) is not None:
            return made
        operands: list[Node] = []
        kept = {k: v for k, v in kwargs.items() if not (target.startswith("aten.") and k in _DROPPED)}
        op = torch_ops.Call(
            target=target,
            args=Template.of(_literal(tuple(args), operands)),
            kwargs=Template.of(_literal(kept, operands)),
            returns=seen,
        )
        return self._add(node, op, operands, seen, node.name, scope)

    def module(
        self, node: fx.Node, path: str, leaf: Leaf, args: tuple[Any, ...], kwargs: dict[str, Any], seen: Type
    ) -> Node:
        """Add the node of a call of a leaf module.

        Args:
            node: the traced call, for its line.
            path: the module's path, which becomes the scope.
            leaf: the module and its op.
            args: its positional arguments, operands as nodes of the graph.
            kwargs: its keyword arguments.
            seen: the type of what it gives.
        """
        values = bind_operands(leaf, args, kwargs)
        if leaf.op is not None and values is not None:
            unit = Unit(leaf.op, tuple(values), self._keys(role_keys(path, leaf.module, leaf.op)))
            if (made := self._unit(node, unit, seen, path, path)) is not None:
                return made
        operands: list[Node] = []
        op = torch_ops.Module(
            cls=class_name(type(leaf.module)),
            args=Template.of(_literal(args, operands)),
            kwargs=Template.of(_literal(kwargs, operands)),
            returns=seen,
        )
        return self._add(node, op, operands, seen, path, path, self._keys(_weights(path, leaf.module)))

    def element(self, source: Node, index: int) -> Node:
        """Add the node of one element of a tuple."""
        assert isinstance(source.type, TupleType)
        return self.graph.add(
            core.GetItem(index=index),
            source,
            name=f"{source.name}_{index}",
            like=source,
        )

    def outputs(self, values: Sequence[Any], layout: Any) -> None:
        """Make ``values`` the graph's outputs, arranged by ``layout``, whose holes number them."""
        nodes = list(dict.fromkeys(v for v in values if isinstance(v, Node)))
        self.graph.outputs = nodes

        def place(i: int) -> Any:
            return Hole(nodes.index(values[i])) if isinstance(values[i], Node) else values[i]

        self.graph.structure = Template.of(Template.of(layout).fill(place, Named, _record))

    def _unit(self, node: fx.Node, unit: Unit, seen: Type, name: str, scope: str) -> Node | None:
        """The node of an op, unless the op says another type than torch gave."""
        roles = {role: self.graph.state.entry(key).type for role, key in unit.params.items()}
        try:
            inferred = unit.op.infer(*(n.type for n in unit.operands), **roles)
        except OpError:
            return None
        if not _agree(inferred, seen):
            return None
        return self._add(node, unit.op, unit.operands, inferred, name, scope, unit.params)

    def _add(
        self,
        node: fx.Node,
        op: Op,
        operands: Sequence[Node],
        type: Type,
        name: str,
        scope: str,
        params: Mapping[str, str] | None = None,
    ) -> Node:
        loc = location_of(node.meta.get("stack_trace") or "")
        return self.graph.add(op, *operands, params=params, type=type, name=name, scope=scope, loc=loc)

    def _keys(self, roles: Mapping[str, str]) -> dict[str, str]:
        return {role: self.graph.state.resolve(key) for role, key in roles.items()}


def _record(cls: str, fields: Mapping[str, Any]) -> Record:
    return Record(cls, tuple(fields.items()))


def _weights(path: str, module: nn.Module) -> dict[str, str]:
    """The key of every parameter and buffer of a module by its name inside the module."""
    named = [*module.named_parameters(), *module.named_buffers()]
    return {name: f"{path}.{name}" for name, _ in named}


def _agree(inferred: Type, seen: Type) -> bool:
    """Whether two types are the same as far as both know the sizes."""
    if isinstance(inferred, TupleType) and isinstance(seen, TupleType):
        pairs = zip(inferred.elements, seen.elements, strict=False)
        return len(inferred.elements) == len(seen.elements) and all(_agree(a, b) for a, b in pairs)
    if not (isinstance(inferred, TensorType) and isinstance(seen, TensorType)):
        return inferred == seen
    same_kind = inferred.format == seen.format and inferred.rank == seen.rank
    sizes = zip(inferred.shape, seen.shape, strict=False)
    return same_kind and all(a == b or not (isinstance(a, int) and isinstance(b, int)) for a, b in sizes)


def _literal(value: Any, operands: list[Node]) -> Any:
    """A call's argument as a template's value; nodes become holes and join ``operands``."""
    match value:
        case Node():
            if value not in operands:
                operands.append(value)
            return Hole(operands.index(value))
        case torch.dtype():
            return _dtype(value)
        case torch.layout() | torch.memory_format() | torch.device():
            return Named(f"{value}" if str(value).startswith("torch.") else f"torch.{value}")
        case tuple() | list():
            items: list[Any] = [_literal(v, operands) for v in value]  # pyright: ignore[reportUnknownVariableType]
            return tuple(items) if isinstance(value, tuple) else items
        case dict():
            return {k: _literal(v, operands) for k, v in value.items()}  # pyright: ignore[reportUnknownVariableType]
        case slice():
            return slice(*(_literal(v, operands) for v in (value.start, value.stop, value.step)))  # pyright: ignore[reportUnknownMemberType,reportUnknownVariableType]
        case _:
            return value


def _dtype(value: torch.dtype) -> Named:
    try:
        return Named(str(format_of(value)))
    except MaseError:
        return Named(str(value))

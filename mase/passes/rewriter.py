"""Rewrites: local changes to a graph that keep names, scopes, places and annotations."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack

from mase.ir.diagnostics import MaseError
from mase.ir.graph import Graph, Node
from mase.ir.op import Op, OpError
from mase.ir.types import Type

if TYPE_CHECKING:
    from mase.passes.context import Context

__all__ = ["NodeOptions", "Rewriter", "apply_rewrites", "rewrite", "rewrites_of"]

_MARK = "__mase_rewrites__"
_MAX_SWEEPS = 100

M = TypeVar("M", bound=Callable[..., None])


def rewrite(*ops: type[Op]) -> Callable[[M], M]:
    """Mark a method of a pass class as the rewrite of nodes whose op is an instance of one of ``ops``.

    The method takes the node and a `Rewriter`. The pass sweeps over the graph in execution order, each
    node offered to the methods in the order in which they are written, until a sweep changes nothing.
    So a rewrite must leave alone what needs no change.

    Example:
        >>> from mase.ir.ops import nn
        >>> class DropTwice:
        ...     @rewrite(nn.Relu)
        ...     def fold(self, node: Node, rewriter: Rewriter) -> None:
        ...         if isinstance(node.inputs[0].op, nn.Relu):
        ...             rewriter.forward(node, node.inputs[0])
        >>> [name for name, _ in rewrites_of(DropTwice)]
        ['fold']
    """

    def mark(method: M) -> M:
        setattr(method, _MARK, ops or (Op,))
        return method

    return mark


def rewrites_of(cls: type[Any]) -> list[tuple[str, tuple[type[Op], ...]]]:
    """The names of the rewrite methods of a class in the order written, bases first, with their ops."""
    names = dict.fromkeys(name for base in reversed(cls.__mro__) for name in vars(base))
    found = ((name, getattr(inspect.getattr_static(cls, name), _MARK, None)) for name in names)
    return [(name, ops) for name, ops in found if ops is not None]


class NodeOptions(TypedDict, total=False):
    """What an inserted node may be given beside its operands."""

    params: Mapping[str, str] | None
    type: Type | None
    name: str | None


@dataclass(frozen=True)
class Rewriter:
    """The verbs of a rewrite; each keeps what the user knows a node by.

    Args:
        graph: the graph.
        ctx: the context of the run, for options, statistics and notes.
    """

    graph: Graph
    ctx: Context

    def replace(
        self,
        node: Node,
        op: Op,
        *inputs: Node,
        params: Mapping[str, str] | None = None,
        type: Type | None = None,
    ) -> Node:
        """Let a node compute ``op`` instead: name, scope, place, annotations and users stay.

        Args:
            node: the node.
            op: its new operation.
            inputs: its new operands; as before if none are given.
            params: its new state keys by role; as before if absent.
            type: its new type; inferred if absent.

        Raises:
            MaseError: if the operands do not fit, or the shape that users rely on would change.
        """
        before = node.op, node.inputs, dict(node.params), node.type
        node.op, node.inputs = op, inputs or node.inputs
        node.params = node.params if params is None else params
        try:
            made = node.infer() if type is None else type
            if _shape(made) != _shape(before[3]):
                raise OpError(f"the value would become {made}, but its users take {before[3]}")
        except (OpError, MaseError, TypeError) as error:  # TypeError: an operand or role is missing
            node.op, node.inputs, node.params, node.type = before
            raise MaseError.of(
                f"cannot replace {node.op.name} by {op.name}: {error}", node=node.name, source=node.loc
            ) from None
        node.type = made
        return node

    def insert_before(self, node: Node, op: Op, *inputs: Node, **options: Unpack[NodeOptions]) -> Node:
        """Add a node before ``node``, of the same scope and place.

        Args:
            node: the node in front of which to insert.
            op: the new operation.
            inputs: its operands.
            options: its ``params``, ``type`` and ``name``, as for `Graph.add`.
        """
        with self.graph.inserting_before(node):
            return self.graph.add(op, *inputs, like=node, **options)

    def insert_after(self, node: Node, op: Op, *inputs: Node, **options: Unpack[NodeOptions]) -> Node:
        """Add a node after ``node``, of the same scope and place; see `insert_before`."""
        with self.graph.inserting_after(node):
            return self.graph.add(op, *inputs, like=node, **options)

    def forward(self, node: Node, value: Node) -> None:
        """Let the users of ``node`` take ``value``, and erase ``node``."""
        node.replace_all_uses_with(value)
        self.graph.erase(node)

    def erase(self, node: Node) -> None:
        """Remove a node that nothing uses.

        Raises:
            ValueError: if it has users or is an output.
        """
        self.graph.erase(node)

    def erase_unused(self, candidates: Iterable[Node]) -> None:
        """Remove the nodes that nothing uses, and then those that only they used."""
        for node in candidates:
            if not node.users and node not in node.graph.outputs and node.op.pure:
                inputs = node.inputs
                self.erase(node)
                self.erase_unused(dict.fromkeys(inputs))

    def reject(self, node: Node, reason: str, *, help: str | None = None) -> None:
        """Say why a node that looked right was left alone; see `Context.reject`."""
        self.ctx.reject(node, reason, help=help)


def apply_rewrites(rules: object, graph: Graph, ctx: Context) -> None:
    """Run the rewrite methods of an object until a sweep over the graph changes nothing.

    Args:
        rules: an object with `rewrite` methods.
        graph: the graph to change.
        ctx: the context of the run.

    Raises:
        MaseError: if the rewrites undo each other or grow the graph without end.
    """
    rewriter = Rewriter(graph, ctx)
    changed: Node | None = None
    for _ in range(_MAX_SWEEPS):
        ctx.forget_rejected()
        changed = _sweep(rules, rewriter)
        if changed is None:
            return
    raise MaseError.of(
        f"{type(rules).__name__} still changes the graph after {_MAX_SWEEPS} sweeps",
        node=changed.name if changed else None,
        source=changed.loc if changed else None,
        help="let its rewrites leave nodes alone that need no change",
    )


def _sweep(rules: object, rewriter: Rewriter) -> Node | None:
    """Offer every node to every method once; the last node that one of them changed the graph for."""
    graph, changed = rewriter.graph, None
    methods = [(getattr(rules, name), ops) for name, ops in rewrites_of(type(rules))]
    for node in graph.nodes:
        version = graph.version
        for method, ops in methods:
            if node.name in graph and graph[node.name] is node and isinstance(node.op, ops):
                method(node, rewriter)
        if graph.version != version:
            changed = node
    return changed


def _shape(type: Type) -> object:
    return getattr(type, "shape", type)

"""Makes a trace functional: an in-place call becomes its pure twin, and what comes later sees the result.

Views are followed both ways. A write through a view (``x[:, 0] = y``) becomes a scatter into the whole,
and views of the whole are taken anew where they are used again. A write into an input, a parameter or a
buffer is an effect of the model and stays, as does whatever has no pure twin.
"""

from __future__ import annotations

import operator
from itertools import pairwise
from typing import Any

import torch
from torch import fx

from mase.frontends.internals import (
    argument_names,
    has_random_result,
    operator_name,
    overload_of,
    overwrites_first,
    storage_of,
)
from mase.frontends.session import MARKER, Session
from mase.frontends.views import FRESH, can_write_through, scattered, view_chain, viewed

__all__ = ["functionalize"]

aten: Any = torch.ops.aten


def functionalize(graph: fx.Graph, session: Session) -> None:
    """Rewrite every in-place call of ``graph`` that has a pure form.

    Args:
        graph: the trace; each node's example value is its ``meta["val"]``.
        session: the sites of its leaves.
    """
    seen = _Seen()
    for node in list(graph.nodes):
        operand = _overwritten(node, session)
        if operand is not None:
            chain = view_chain(operand)
            pure = _pure_twin(node)
            owned = chain[-1].op == "call_function" and all(can_write_through(view) for view in chain[:-1])
            if pure is not None and owned:
                _Write(graph, node, chain, seen).replace(pure)
                continue
        seen.add(node)


class _Seen:
    """The nodes so far, by the memory that their values lie in."""

    def __init__(self) -> None:
        self._nodes: set[fx.Node] = set()
        self._by_storage: dict[int | None, list[fx.Node]] = {}

    def add(self, node: fx.Node) -> None:
        """Let a node count as one that comes before."""
        self._nodes.add(node)
        self._by_storage.setdefault(storage_of(node.meta.get("val")), []).append(node)

    def __contains__(self, node: fx.Node) -> bool:
        return node in self._nodes

    def sharing(self, node: fx.Node) -> list[fx.Node]:
        """The nodes whose values lie in the same memory, in order."""
        storage = storage_of(node.meta.get("val"))
        return [] if storage is None else list(self._by_storage.get(storage, ()))


def _overwritten(node: fx.Node, session: Session) -> fx.Node | None:
    """The tensor that a call overwrites with its result."""
    if node.target is MARKER:
        index: Any = node.args[0]
        operands: Any = node.args[1]
        return operands[0] if session.site(index).in_place else None
    first = node.args[0] if overwrites_first(node.target) and node.args else None
    return first if isinstance(first, fx.Node) else None


def _pure_twin(node: fx.Node) -> Any:
    """The operator that computes the same without writing; None if there is none."""
    if node.target is MARKER:
        return MARKER
    target: Any = node.target
    name = operator_name(target).removesuffix("_")
    twin = overload_of(name, target)
    draws_otherwise = has_random_result(target) and name != "dropout"
    if twin is None or draws_otherwise or not _keeps_dtype(node, name):
        return None
    return twin if argument_names(twin)[1:] == argument_names(target)[1:] else None


def _keeps_dtype(node: fx.Node, name: str) -> bool:
    """Whether the pure call gives the written tensor's type, instead of promoting it."""
    if name in ("copy", "masked_fill", "masked_scatter", "index_put", "fill", "zero"):
        return True
    values = [a.meta.get("val") for a in node.all_input_nodes]
    dtypes = {v.dtype for v in values if isinstance(v, torch.Tensor)}
    numbers = [a for a in node.args[1:] if isinstance(a, float)]
    return len(dtypes) == 1 and (not numbers or next(iter(dtypes)).is_floating_point)


class _Write:
    """One in-place call on its way to a pure one.

    Args:
        graph: the trace.
        node: the call.
        chain: what it overwrites, what that is a view of, and so on.
        seen: the nodes before it.
    """

    def __init__(self, graph: fx.Graph, node: fx.Node, chain: list[fx.Node], seen: _Seen) -> None:
        self._graph, self._node, self._chain, self._seen = graph, node, chain, seen
        self._point = node.next
        self._updated: dict[fx.Node, fx.Node] = {}

    def replace(self, pure: Any) -> None:
        """Put the pure call in the place of the node, and let later uses see what it wrote."""
        part = self._result(pure)
        base, own = self._chain[-1], {self._node, part}
        for view, source in pairwise(self._chain):
            call = scattered(view, source, part)
            part = part if call is None else self._insert(*call, like=source)
            own.add(part)
        part.meta[FRESH] = True
        self._updated[base] = part
        for alias in [n for n in self._seen.sharing(base) if n not in own]:
            self._redirect(alias, [u for u in alias.users if u not in self._seen and u not in own])
        if self._node.target is not MARKER:
            self._redirect(self._chain[0], list(self._node.users), of=self._node)
            self._graph.erase_node(self._node)
        else:
            self._seen.add(self._node)

    def _result(self, pure: Any) -> fx.Node:
        """The pure call's value; a marker, pure already, gives a list of one."""
        if pure is MARKER:
            found = next((u for u in self._node.users), None)
            if found is None:
                return self._insert(operator.getitem, (self._node, 0), like=self._chain[0])
            self._point = found.next
            return found
        if pure is aten.copy.default:
            return self._copied()
        return self._insert(pure, self._node.args, like=self._chain[0], **self._node.kwargs)

    def _copied(self) -> fx.Node:
        """``copy_`` in parts, as ``aten.copy`` has no derivative."""
        target, value = self._chain[0], self._node.args[1]
        if not isinstance(value, fx.Node):
            raise TypeError(f"copy_ of {value!r}")
        made = value
        if made.meta["val"].dtype != target.meta["val"].dtype:
            made = self._insert(aten.to.dtype, (made, target.meta["val"].dtype), like=target)
        if value.meta["val"].shape != target.meta["val"].shape:
            made = self._insert(aten.expand_as.default, (made, target), like=target)
        return self._insert(aten.clone.default, (made,), like=target) if made is value else made

    def _redirect(self, alias: fx.Node, users: list[fx.Node], of: fx.Node | None = None) -> None:
        """Let users of a node (``of``, or the alias itself) take the alias as it is after the write."""
        new = self._retaken(alias) if users else None
        if new is not None:
            for user in users:
                user.replace_input_with(of or alias, new)

    def _retaken(self, alias: fx.Node) -> fx.Node | None:
        """The same view of the updated tensor; None if ``alias`` is none that can be taken anew."""
        if alias in self._updated:
            return self._updated[alias]
        source = viewed(alias)
        new = None if source is None else self._retaken(source)
        if new is None or alias.target is operator.getitem:
            return None
        self._updated[alias] = self._insert(alias.target, (new, *alias.args[1:]), like=alias, **alias.kwargs)
        return self._updated[alias]

    def _insert(self, target: Any, args: Any, *, like: fx.Node, **kwargs: Any) -> fx.Node:
        with self._graph.inserting_before(self._point):
            made = self._graph.call_function(target, tuple(args), kwargs)
        made.meta = {**self._node.meta, "val": like.meta["val"]}
        made.meta.pop(FRESH, None)
        self._seen.add(made)
        return made

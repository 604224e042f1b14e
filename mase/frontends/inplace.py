"""Makes a trace functional: an in-place call becomes its pure twin, and what comes later sees the result.

Views are followed both ways. A write through a view (``x[:, 0] = y``) becomes a scatter into the whole,
and views that were taken before the write are taken again after it. A write into an input, a
parameter or a buffer is an effect of the model and stays, as does whatever has no pure twin.
"""

from __future__ import annotations

from collections.abc import Callable
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
    shares_storage,
)
from mase.frontends.session import MARKER, Session

__all__ = ["functionalize"]

aten: Any = torch.ops.aten
_FRESH = "mase_fresh"  # marks nodes that this pass made: they own their storage

Insert = Callable[..., fx.Node]


def functionalize(graph: fx.Graph, session: Session) -> None:
    """Rewrite every in-place call of ``graph`` that has a pure form."""
    seen: dict[fx.Node, None] = {}
    for node in list(graph.nodes):
        write = _written(node, session)
        if write is not None:
            _rewrite(graph, node, write, seen)
        seen[node] = None


def _written(node: fx.Node, session: Session) -> fx.Node | None:
    """The tensor that a call overwrites with its result."""
    if node.target is MARKER:
        index: Any = node.args[0]
        operands: Any = node.args[1]
        return operands[0] if session.site(index).in_place else None
    first = node.args[0] if overwrites_first(node.target) and node.args else None
    return first if isinstance(first, fx.Node) else None


def _rewrite(graph: fx.Graph, node: fx.Node, self: fx.Node, seen: dict[fx.Node, None]) -> None:
    chain = _view_chain(self)
    base = chain[-1]
    pure = _pure_twin(node)
    if pure is None or base.op != "call_function" or not all(_invertible(v) for v in chain[:-1]):
        return
    later = [
        n for n in seen if shares_storage(n, base) and any(u not in seen and u is not node for u in n.users)
    ]
    point = _result(node)

    def insert(target: Any, *args: Any, like: fx.Node, before: fx.Node, **kwargs: Any) -> fx.Node:
        with graph.inserting_before(before):
            made = graph.call_function(target, args, kwargs)
        made.meta = {**node.meta, "val": like.meta["val"]}
        seen[made] = None
        return made

    after = point.next
    if pure is not MARKER:
        value = insert(pure, *node.args, like=self, before=node, **node.kwargs)
        node.replace_all_uses_with(value)
        graph.erase_node(node)
    else:
        value = point
    value.meta[_FRESH] = True
    updated: dict[fx.Node, fx.Node] = {chain[0]: value}
    for view, source in pairwise(chain):
        updated[source] = _scatter(insert, view, source, updated[view], after)
        updated[source].meta[_FRESH] = True
    for alias in later:
        _update_uses(alias, updated, insert, after, seen, {node, point, *updated.values()})


def _update_uses(
    alias: fx.Node,
    updated: dict[fx.Node, fx.Node],
    insert: Insert,
    after: fx.Node,
    seen: dict[fx.Node, None],
    keep: set[fx.Node],
) -> None:
    """Let later users of ``alias`` take its value after the write."""
    new = _retaken(alias, updated, insert, after)
    if new is None or new is alias:
        return
    for user in list(alias.users):
        if user not in seen and user not in keep:
            user.replace_input_with(alias, new)


def _retaken(
    alias: fx.Node, updated: dict[fx.Node, fx.Node], insert: Insert, after: fx.Node
) -> fx.Node | None:
    """The same view of the updated tensor; None if ``alias`` is no view of it."""
    if alias in updated:
        return updated[alias]
    if alias.meta.get(_FRESH) or not _is_view(alias):
        return None
    source: Any = alias.args[0]
    new = _retaken(source, updated, insert, after)
    if new is None:
        return None
    updated[alias] = insert(alias.target, new, *alias.args[1:], like=alias, before=after, **alias.kwargs)
    return updated[alias]


def _result(node: fx.Node) -> fx.Node:
    """The tensor that a call gives: itself, or the only element of a marker's list."""
    return next(iter(node.users)) if node.target is MARKER else node


def _pure_twin(node: fx.Node) -> Any:
    """The operator that computes the same without writing; None if there is none."""
    if node.target is MARKER:
        return MARKER if len(node.users) == 1 else None
    target: Any = node.target
    name = operator_name(target).removesuffix("_")
    twin = overload_of(name, target)
    if twin is None or has_random_result(target) or not _keeps_dtype(node, name):
        return None
    return twin if argument_names(twin) == argument_names(target) else None


def _keeps_dtype(node: fx.Node, name: str) -> bool:
    """Whether the pure call gives the written tensor's type, instead of promoting it."""
    if name in ("copy", "masked_fill", "masked_scatter", "index_put", "fill", "zero"):
        return True
    values = [a.meta.get("val") for a in node.all_input_nodes]
    dtypes = {v.dtype for v in values if isinstance(v, torch.Tensor)}
    numbers = [a for a in node.args[1:] if isinstance(a, float)]
    return len(dtypes) == 1 and (not numbers or next(iter(dtypes)).is_floating_point)


def _is_view(node: fx.Node) -> bool:
    source: Any = node.args[0] if node.args else None
    if node.op != "call_function" or node.meta.get(_FRESH) or not isinstance(source, fx.Node):
        return False
    return shares_storage(node, source)


def _view_chain(node: fx.Node) -> list[fx.Node]:
    """A tensor, what it is a view of, and so on to the tensor that owns the storage."""
    chain = [node]
    while _is_view(chain[-1]):
        source: Any = chain[-1].args[0]
        chain.append(source)
    return chain


_RESHAPES = (aten.view.default, aten.reshape.default, aten.flatten.using_ints, aten.unflatten.int)
_SAME = (
    aten.detach.default,
    aten.detach_.default,
    aten.alias.default,
    aten.contiguous.default,
    aten.to.dtype,
)
_SCATTERS = {
    aten.select.int: aten.select_scatter.default,
    aten.slice.Tensor: aten.slice_scatter.default,
    aten.diagonal.default: aten.diagonal_scatter.default,
}
_INVERSES = {
    aten.unsqueeze.default: aten.squeeze.dim,
    aten.t.default: aten.t.default,
    aten.transpose.int: aten.transpose.int,
}


def _invertible(view: fx.Node) -> bool:
    known = (*_RESHAPES, *_SAME, *_SCATTERS, *_INVERSES, aten.permute.default)
    return view.target in known


def _scatter(insert: Insert, view: fx.Node, source: fx.Node, value: fx.Node, before: fx.Node) -> fx.Node:
    """``source`` with the part that ``view`` shows replaced by ``value``."""
    target: Any = view.target
    if target in _SAME:
        return value
    if target in _RESHAPES:
        return insert(aten.view_as.default, value, source, like=source, before=before)
    if target in _SCATTERS:
        return insert(
            _SCATTERS[target], source, value, *view.args[1:], like=source, before=before, **view.kwargs
        )
    if target is aten.permute.default:
        dims: Any = view.args[1]
        inverse = sorted(range(len(dims)), key=lambda i: dims[i] % len(dims))
        return insert(target, value, inverse, like=source, before=before)
    return insert(_INVERSES[target], value, *view.args[1:], like=source, before=before)

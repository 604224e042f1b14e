"""Views in a trace: what a tensor is a view of, and how a write through a view reaches the whole."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch import fx

from mase.frontends.internals import gives_alias, shares_storage

__all__ = ["FRESH", "can_write_through", "scattered", "view_chain", "viewed"]

aten: Any = torch.ops.aten
Call = tuple[Any, Sequence[Any]]

FRESH = "mase_fresh"
"""Marks, in ``meta``, a node that owns its memory although its example value does not say so."""

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


def viewed(node: fx.Node) -> fx.Node | None:
    """The tensor that a call gives a view of, if it gives one."""
    if node.op != "call_function" or node.meta.get(FRESH) or not node.args:
        return None
    call: Any = node.args[0] if node.target is operator.getitem else node  # one of the views of a split
    source: Any = call.args[0] if gives_alias(call.target) else None
    return source if isinstance(source, fx.Node) and shares_storage(node, source) else None


def view_chain(node: fx.Node) -> list[fx.Node]:
    """A tensor, what it is a view of, and so on to the tensor that owns the memory."""
    chain = [node]
    while (source := viewed(chain[-1])) is not None:
        chain.append(source)
    return chain


def can_write_through(view: fx.Node) -> bool:
    """Whether `scattered` knows the kind of view."""
    return view.target in (*_RESHAPES, *_SAME, *_SCATTERS, *_INVERSES, aten.permute.default)


def scattered(view: fx.Node, source: fx.Node, part: fx.Node) -> Call | None:
    """The call that gives ``source`` with what ``view`` shows of it replaced by ``part``.

    Returns:
        The operator and its arguments; None if the part is the whole.
    """
    target: Any = view.target
    if target in _SAME:
        return None
    if target in _RESHAPES:
        return aten.view_as.default, (part, source)
    if target in _SCATTERS:
        return _SCATTERS[target], (source, part, *view.args[1:])
    if target is aten.permute.default:
        dims: Any = view.args[1]
        return target, (part, sorted(range(len(dims)), key=lambda i: dims[i] % len(dims)))
    return _INVERSES[target], (part, *view.args[1:])

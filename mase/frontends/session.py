"""The marker session: while it is active, each call of a leaf module is one opaque operator of the trace.

``torch.export`` runs the model on fake tensors. A leaf's forward is replaced by a marker that calls
``mase::leaf``; that operator's shape rule is the leaf's own forward on the fake tensors. After the
trace each ``mase::leaf`` node names a `Site`, which knows the leaf and how its arguments were arranged.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn
from torch.utils import _pytree as pytree

from mase.frontends.functions import RESULTS, functions_marked
from mase.frontends.layout import flatten, rebuild
from mase.frontends.leaves import Leaf, bind_operands
from mase.frontends.quick import quick_result
from mase.ir.diagnostics import MaseError

__all__ = ["MARKER", "Session", "Site"]

_LIBRARY = torch.library.Library("mase", "FRAGMENT")
cast(Any, _LIBRARY).define("leaf(int site, Tensor[] tensors, SymInt[] sizes) -> Tensor[]")
MARKER: Any = torch.ops.mase.leaf.default

_ACTIVE: ContextVar[Session] = ContextVar("mase_capture_session")
_TENSOR, _SIZE = object(), object()  # holes in a flattened argument list

ShapeRule = Callable[..., Any]


@dataclass
class Site:
    """One call of one leaf module, or of one function that the trace does not enter.

    Args:
        path: the leaf's path in the model; the text of the function.
        leaf: the leaf; None for a function.
        arguments: what each flattened argument is: a hole or a constant.
        spec: how they are nested.
    """

    path: str
    leaf: Leaf | None
    arguments: list[Any]
    spec: pytree.TreeSpec
    layout: Any = None
    """The nested result with numbered holes for its tensors, known after the call."""

    @property
    def in_place(self) -> bool:
        """Whether the leaf overwrites its operand with its result."""
        return self.leaf is not None and bool(getattr(self.leaf.module, "inplace", False))

    def bind(self, tensors: list[Any], sizes: list[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The positional and keyword arguments of the call with its holes filled."""
        t, s = iter(tensors), iter(sizes)
        flat = [next(t) if v is _TENSOR else next(s) if v is _SIZE else v for v in self.arguments]
        return cast("tuple[tuple[Any, ...], dict[str, Any]]", pytree.tree_unflatten(flat, self.spec))


class Session:
    """The sites of one trace.

    Args:
        leaves: the leaves by path.
        rules: for leaves that cannot run on fake tensors, what gives their result instead.
    """

    def __init__(self, leaves: Mapping[str, Leaf], rules: Mapping[str, ShapeRule]) -> None:
        self.leaves = leaves
        self.sites: list[Site] = []
        self._rules = rules

    def site(self, index: int) -> Site:
        """The site that a marker's first argument numbers."""
        return self.sites[index]

    @contextmanager
    def active(self) -> Generator[None]:
        """Replace the leaves' forwards by markers; whatever happens, put everything back."""
        saved = [(leaf.module, dict(leaf.module.__dict__)) for leaf in self.leaves.values()]
        token = _ACTIVE.set(self)
        try:
            for path, leaf in self.leaves.items():
                self._mark(path, leaf)
            with functions_marked(lambda path, args, kwargs: self.mark(path, None, args, kwargs)):
                yield
        finally:
            _ACTIVE.reset(token)
            for module, attributes in saved:
                _restore(module, attributes)

    def _mark(self, path: str, leaf: Leaf) -> None:
        # An opaque leaf's own hooks run when the module does, not in the trace.
        hooks = {k: type(v)() for k, v in leaf.module.__dict__.items() if k.endswith("_hooks") and v}
        leaf.module.__dict__.update(hooks, forward=self._marker(path, leaf))

    def _marker(self, path: str, leaf: Leaf) -> Callable[..., Any]:
        def forward(*args: Any, **kwargs: Any) -> Any:
            if leaf.op is not None and not _only_tensors(bind_operands(leaf, args, kwargs)):
                return type(leaf.module).forward(leaf.module, *args, **kwargs)
            return self.mark(path, leaf, args, kwargs)

        return forward

    def mark(self, path: str, leaf: Leaf | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Make a call one operator of the trace, and give its result.

        Raises:
            MaseError: if no argument is a tensor.
        """
        flat, spec = pytree.tree_flatten((args, kwargs))
        tensors = [v for v in flat if isinstance(v, torch.Tensor)]
        if not tensors:
            raise MaseError.of(f"{path!r} is called without a tensor, so it cannot be kept whole")
        sizes = [v for v in flat if isinstance(v, torch.SymInt)]
        site = Site(path, leaf, [_hole(v) for v in flat], spec)
        self.sites.append(site)
        results = MARKER(len(self.sites) - 1, tensors, sizes)
        return rebuild(site.layout, results)

    def fake(self, index: int, tensors: list[torch.Tensor], sizes: list[Any]) -> list[torch.Tensor]:
        """The results of a site on fake tensors; an operator may not give back or alias its operands."""
        site = self.sites[index]
        args, kwargs = site.bind(tensors, sizes)
        leaves, site.layout = flatten(self._run(site, args, kwargs))
        seen, results = {id(t) for t in tensors}, list[torch.Tensor]()
        for value in leaves:
            if not isinstance(value, torch.Tensor):
                raise MaseError.of(f"{site.path!r} returns a symbolic number, so it cannot be kept whole")
            shared = id(value) in seen or value._is_view()
            seen.add(id(value))
            results.append(torch.empty_like(value) if shared else value)
        return results

    def _run(self, site: Site, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if site.leaf is None:
            return RESULTS[site.path](*args, **kwargs)
        if site.path in self._rules:
            return self._rules[site.path](*args, **kwargs)
        module = site.leaf.module
        quick = quick_result(site.leaf.op, module, *args) if not kwargs else None
        return type(module).forward(module, *args, **kwargs) if quick is None else quick


def _hole(value: Any) -> Any:
    return _TENSOR if isinstance(value, torch.Tensor) else _SIZE if isinstance(value, torch.SymInt) else value


def _only_tensors(operands: list[Any] | None) -> bool:
    return operands is not None and all(isinstance(v, torch.Tensor) for v in operands)


def _restore(module: nn.Module, attributes: dict[str, Any]) -> None:
    """Bring back the attributes that marking replaced, and those alone."""
    for name in [n for n in module.__dict__ if n == "forward" or n.endswith("_hooks")]:
        if name in attributes:
            module.__dict__[name] = attributes[name]
        else:
            del module.__dict__[name]


def _fake(site: int, tensors: list[torch.Tensor], sizes: list[Any]) -> list[torch.Tensor]:
    return _ACTIVE.get().fake(site, tensors, sizes)


cast(Any, torch.library).register_fake("mase::leaf", _fake, lib=_LIBRARY)

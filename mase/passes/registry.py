"""Which passes there are: ours, those of installed plugins, and those of a file given with ``--load``.

Everyone registers with `register_pass`. A package is found through an entry point of the group
``mase.passes`` that names a module to import; ours names `mase.passes.builtin`, which only declares
where each pass lives, so that listing and finding them stays instant.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, is_dataclass
from functools import cache
from importlib import import_module
from typing import Any, TypeVar, cast, dataclass_transform

from mase.ir.diagnostics import MaseError, UsageError, did_you_mean
from mase.ir.op import Level
from mase.passes.analysis import Analysis
from mase.passes.base import ANY_LEVEL, Pass
from mase.passes.rewriter import rewrites_of

__all__ = ["broken_plugins", "declare_passes", "get_pass", "load_all", "pass_names", "register_pass"]

T = TypeVar("T", bound=Callable[..., Any])

GROUP = "mase.passes"

_PASSES: dict[str, Pass] = {}
_DECLARED: dict[str, str] = {}  # name → module that registers it when imported
_BROKEN: dict[str, str] = {}  # plugin → why it does not load
_KEBAB = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def register_pass(
    name: str,
    *,
    requires: Iterable[Level] = ANY_LEVEL,
    ensures: Level | None = None,
    preserves: Iterable[Analysis] = (),
    needs_data: bool = False,
    changes_numbers: bool = False,
) -> Callable[[T], T]:
    """Decorator: make a function or a class a pass, and return it unchanged.

    A class has `rewrite` methods, or a method ``run(graph, ctx)``; it becomes a frozen keyword-only
    dataclass whose fields are the options.

    Args:
        name: what users write, in kebab-case.
        requires: the levels of the graphs that it takes.
        ensures: the level of the graph that it leaves; None if it stays as it was.
        preserves: the analyses that stay true although the graph changes.
        needs_data: whether it cannot run without a data set.
        changes_numbers: whether the graph computes other numbers afterwards.

    Raises:
        MaseError: if the name is not in kebab-case or is taken.
        TypeError: if the function does not take ``(graph, ctx, *, options...)`` or the class does nothing.

    Example:
        >>> from mase.ir import Graph
        >>> from mase.passes import Context
        >>> @register_pass("doc-count-nodes")
        ... def count_nodes(graph: Graph, ctx: Context, *, label: str = "nodes") -> None:
        ...     '''Count the nodes.'''
        ...     ctx.stat(label, len(graph))
        >>> get_pass("doc-count-nodes").summary
        'Count the nodes.'
    """

    def register(target: T) -> T:
        _check_target(target)
        if inspect.isclass(target) and not _is_own_dataclass(target):
            dataclass(frozen=True, kw_only=True)(target)
        made = Pass(name, target, tuple(requires), ensures, tuple(preserves), needs_data, changes_numbers)
        _check_name(made)
        _PASSES[name] = made
        return cast(T, target)

    return register


def declare_passes(modules: Mapping[str, str]) -> None:
    """Say which module registers each pass when imported, so that it need not be imported before.

    Args:
        modules: dotted module names by pass name.

    Example:
        >>> declare_passes({"dce": "mase.passes.transforms.dce"})
    """
    _DECLARED.update(modules)


def get_pass(name: str) -> Pass:
    """The pass called ``name``.

    Raises:
        UsageError: if there is none, with a remedy.
        MaseError: if its module does not load.

    Example:
        >>> get_pass("quantise")
        Traceback (most recent call last):
        ...
        mase.ir.diagnostics.UsageError: error: unknown pass 'quantise'
          help: did you mean 'quantize'?
    """
    _declare_builtin()
    if name not in _PASSES and name not in _DECLARED:
        _load_plugins()
    if name not in _PASSES and name in _DECLARED:
        _import_declared(name)
    if name not in _PASSES:
        broken = "; ".join(f"plugin {plugin!r} does not load: {why}" for plugin, why in _BROKEN.items())
        remedy = did_you_mean(name, pass_names()) or "mase-opt --list-passes lists the passes"
        raise UsageError.of(f"unknown pass {name!r}", help=f"{remedy}; {broken}" if broken else remedy)
    return _PASSES[name]


def pass_names() -> list[str]:
    """Every known name, sorted."""
    _declare_builtin()
    _load_plugins()
    return sorted({*_PASSES, *_DECLARED})


def load_all() -> None:
    """Import every pass there is, and with it the ops, formats and annotations that come along."""
    for name in pass_names():
        try:
            get_pass(name)
        except MaseError:  # said when someone asks for this pass
            continue


def broken_plugins() -> dict[str, str]:
    """The installed plugins that do not load, with the reason."""
    _load_plugins()
    return dict(_BROKEN)


def _import_declared(name: str) -> None:
    module = _DECLARED[name]
    try:
        import_module(module)
    except ImportError as error:
        raise MaseError.of(f"pass {name!r} does not load: {error}", help=f"it lives in {module}") from error
    if name not in _PASSES:
        raise MaseError.of(f"module {module} declares the pass {name!r} but does not register it")


@cache
def _declare_builtin() -> None:
    # Not through the entry point, which is absent when mase runs from a source tree.
    import_module("mase.passes.builtin")


@cache
def _load_plugins() -> None:
    from importlib.metadata import entry_points

    for entry in entry_points(group=GROUP):
        try:
            entry.load()
        except Exception as error:  # noqa: BLE001  # whatever a stranger's package does, ours must go on
            _BROKEN[entry.name] = f"{type(error).__name__}: {error}"


def _check_target(target: Callable[..., Any]) -> None:
    if inspect.isclass(target):
        if not rewrites_of(target) and not hasattr(target, "run"):
            raise TypeError(f"pass class {target.__name__} has neither a @rewrite method nor run(graph, ctx)")
        return
    kinds = [p.kind for p in inspect.signature(target).parameters.values()]
    positional = [k for k in kinds if k is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    keyword = [k for k in kinds if k is inspect.Parameter.KEYWORD_ONLY]
    if len(positional) != 2 or len(positional) + len(keyword) != len(kinds):
        raise TypeError(f"pass function {target.__name__} must take (graph, ctx, *, options...)")


def _is_own_dataclass(cls: type[Any]) -> bool:
    return is_dataclass(cls) and "__dataclass_fields__" in vars(cls)


def _check_name(made: Pass) -> None:
    if not _KEBAB.fullmatch(made.name):
        raise MaseError.of(
            f"{made.name!r} is no name for a pass",
            at=made.place,
            help="write it in kebab-case, such as 'clip-weights'",
        )
    _declare_builtin_unless_importing()
    module = made.target.__module__
    known = _PASSES.get(made.name)
    owner = known.target.__module__ if known else _DECLARED.get(made.name, module)
    same = known is None or known.target.__qualname__ == made.target.__qualname__
    if owner != module or not same:
        where = str(known.place) if known else owner
        raise MaseError.of(
            f"a pass {made.name!r} exists already, in {where}", at=made.place, help="choose another name"
        )


def _declare_builtin_unless_importing() -> None:
    if "mase.passes.builtin" not in sys.modules:
        _declare_builtin()

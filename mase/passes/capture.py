"""Capture with proof: the graph is run beside the model before anyone gets to see it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from mase.ir.diagnostics import MaseError
from mase.ir.graph import Graph, Node

if TYPE_CHECKING:
    from torch import nn

    from mase.frontends.capture import Capture, Tracer
    from mase.frontends.dynamic import DynamicShapes

__all__ = ["checked_trace", "first_difference"]


def checked_trace(
    model: nn.Module,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    dynamic: DynamicShapes | None = None,
    tracer: Tracer = "export",
    opaque: Collection[str] = (),
    name: str | None = None,
) -> Graph:
    """Capture a model and compare the lowered graph with it on the example inputs, in eval mode.

    A model whose forward takes another path in training (auxiliary heads) is captured once more in
    eval mode. A model on the meta device has no numbers to compare.

    Args:
        model: the model; it stays as it is.
        args: example positional arguments.
        kwargs: example keyword arguments.
        dynamic: names of the dimensions that may vary.
        tracer: ``export`` or ``fx``.
        opaque: paths of modules to keep whole.
        name: the graph's name.

    Raises:
        MaseError: if the model cannot be captured, or the graph computes something else; it names
            the first node that does.
    """
    from mase.frontends.capture import CaptureWarning, capture

    def attempt(mode: Any) -> tuple[Capture, str | None]:
        made = capture(
            model, args, kwargs, dynamic=dynamic, tracer=tracer, opaque=opaque, name=name, mode=mode
        )
        return made, first_difference(made.graph, model, args, kwargs or {})

    made, difference = attempt(None)
    if difference is not None and made.mode == "train":
        made, difference = attempt("eval")
    if difference is not None:
        raise MaseError.of(
            f"the captured graph does not compute what {type(model).__name__} computes: {difference}",
            help='keep the module that differs whole with opaque=("name",), or try the other tracer',
        )
    for note in made.notes:
        warnings.warn(str(note), CaptureWarning, stacklevel=3)
    return made.graph


def first_difference(
    graph: Graph, model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> str | None:
    """Where a captured graph first departs from its model, in a few words; None if it does not.

    Args:
        graph: the captured graph.
        model: its model.
        args: example positional arguments.
        kwargs: example keyword arguments.
    """
    import torch

    from mase.runtime.lower import lower

    tensors = [*model.parameters(), *model.buffers()]
    if any(t.is_meta for t in tensors):
        return None
    modes = {m: m.training for m in model.modules()}
    try:
        model.eval()
        lowered = lower(graph, source_model=model).eval()
        with torch.no_grad():
            state = torch.get_rng_state()
            expected = model(*args, **kwargs)
            torch.set_rng_state(state)
            same = _same(expected, lowered(*args, **kwargs))
            node = None if same else _culprit(graph, model, lowered, args, kwargs)
            torch.set_rng_state(state)
    finally:
        for module, mode in modes.items():
            module.training = mode
    if same:
        return None
    if node is None:
        return "its outputs differ although every layer agrees"
    where = f" from {node.loc}" if node.loc else ""
    return f"the first node that differs is {node.name!r} ({node.op.name}, module {node.scope!r}){where}"


def _culprit(
    graph: Graph, model: nn.Module, lowered: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Node | None:
    """The first node whose module gave another result at its first call."""
    expected = _results(model, args, kwargs)
    found = _results(lowered, args, kwargs)
    for node in graph.nodes:
        both = node.scope in expected and node.scope in found
        if both and not _same(expected[node.scope], found[node.scope]):
            return node
    return None


def _results(model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """What each module without children returns at its first call."""
    results: dict[str, Any] = {}

    def keep(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_module: nn.Module, _args: Any, result: Any) -> None:
            results.setdefault(name, result)

        return hook

    modules = cast(Mapping[str, Any], dict(cast(Any, model).named_modules()))
    leaves = {name: m for name, m in modules.items() if not any(True for _ in m.children())}
    handles: list[Any] = [m.register_forward_hook(keep(name)) for name, m in leaves.items()]
    try:
        model(*args, **kwargs)
    finally:
        for handle in handles:
            handle.remove()
    return results


def _same(a: Any, b: Any) -> bool:
    """Equal structure, and tensors equal but for the last bits that threads may sum differently."""
    import torch
    from torch.utils import _pytree as pytree

    (x, x_spec), (y, y_spec) = pytree.tree_flatten(a), pytree.tree_flatten(b)
    return x_spec == y_spec and all(
        p.shape == q.shape and torch.allclose(p, q, 1e-5, 1e-6, equal_nan=True)
        if isinstance(p, torch.Tensor) and isinstance(q, torch.Tensor)
        else p == q
        for p, q in zip(x, y, strict=True)
    )

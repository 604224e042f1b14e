"""Capture with proof: the graph is run beside the model before anyone gets to see it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack, cast

from mase.ir.diagnostics import MaseError
from mase.ir.graph import Graph

if TYPE_CHECKING:
    from torch import nn
    from torch.fx import GraphModule

    from mase.frontends.capture import Capture, CaptureOptions

__all__ = ["checked_trace", "first_difference"]


def checked_trace(
    model: nn.Module,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    **options: Unpack[CaptureOptions],
) -> Graph:
    """Capture a model and compare the lowered graph with it on the example inputs, in eval mode.

    A model whose forward takes another path in training (auxiliary heads) is captured once more in
    eval mode. A model on the meta device has no numbers to compare.

    Args:
        model: the model; it stays as it is.
        args: example positional arguments.
        kwargs: example keyword arguments.
        options: those of `mase.frontends.trace`.

    Raises:
        MaseError: if the model cannot be captured, or the graph computes something else; it names
            the first node that does.
    """
    from mase.frontends.capture import CaptureWarning, capture

    def attempt(mode: Any) -> tuple[Capture, str | None]:
        made = capture(model, args, kwargs, mode=mode, **options)
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

    from mase.frontends.arguments import Arguments
    from mase.runtime.lower import lower

    if any(t.is_meta for t in (*model.parameters(), *model.buffers())):
        return None
    arguments = Arguments(model, args, kwargs)
    tensors = arguments.tensor_arguments()  # what is no tensor became part of the graph
    modes, state = {m: m.training for m in model.modules()}, torch.get_rng_state()
    try:
        model.eval()
        lowered = lower(graph, source_model=model).eval()
        with torch.no_grad():
            expected = _results(model, *arguments.fresh())
            torch.set_rng_state(state)
            found = lowered(**tensors)
            values = {} if _same(expected[""], found) else _values(lowered, tensors)
    finally:
        torch.set_rng_state(state)
        for module, mode in modes.items():
            module.training = mode
    if not values:
        return None
    layers = (n for n in graph.nodes if n.scope and n.scope in expected)
    node = next((n for n in layers if not _same(expected[n.scope], values[n.name])), None)
    if node is None:
        return "its outputs differ although every layer agrees"
    where = f" from {node.loc}" if node.loc else ""
    return f"the first node that differs is {node.name!r} ({node.op.name}, module {node.scope!r}){where}"


def _results(model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """What each module without children returns at its first call, and under ``""`` the model."""
    results: dict[str, Any] = {}

    def keep(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_module: nn.Module, _args: Any, result: Any) -> None:
            results.setdefault(name, result)

        return hook

    modules = cast(Mapping[str, Any], dict(cast(Any, model).named_modules()))
    leaves = {name: m for name, m in modules.items() if name and not any(True for _ in m.children())}
    handles: list[Any] = [m.register_forward_hook(keep(name)) for name, m in leaves.items()]
    try:
        results[""] = model(*args, **kwargs)
    finally:
        for handle in handles:
            handle.remove()
    return results


def _values(lowered: GraphModule, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The value of every node of a lowered graph."""
    from torch import fx

    values: dict[str, Any] = {}

    class Keeping(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            values[n.name] = cast(Any, super()).run_node(n)
            return values[n.name]

    placeholders = [n.target for n in lowered.graph.nodes if n.op == "placeholder"]
    cast(Any, Keeping(lowered)).run(*(inputs.get(str(name)) for name in placeholders))
    return values


def _same(a: Any, b: Any) -> bool:
    """Equal structure, and tensors equal but for the last bits that threads may sum differently."""
    import torch

    from mase.frontends.layout import flatten

    (x, x_layout), (y, y_layout) = flatten(a), flatten(b)
    return x_layout == y_layout and all(
        p.shape == q.shape and torch.allclose(p, q, 1e-5, 1e-6, equal_nan=True)
        if isinstance(p, torch.Tensor) and isinstance(q, torch.Tensor)
        else p == q
        for p, q in zip(x, y, strict=True)
    )

"""What every capture must satisfy, in one call."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from mase.frontends.arguments import Arguments
from mase.frontends.capture import Capture, capture
from mase.frontends.layout import flatten
from mase.ir import Graph
from mase.ir.printer import dumps
from mase.ir.text import loads
from mase.ir.verify import verify
from mase.runtime.lower import lower


def ops_of(graph: Graph) -> list[str]:
    """The op names of a graph in order, without inputs and weights; calls by what they call."""
    plain = ("core.input", "core.parameter")
    return [getattr(n.op, "target", n.op.name) for n in graph.nodes if n.op.name not in plain]


def assert_same(expected: Any, found: Any) -> None:
    """Both have the same structure, and tensors equal to the last bit."""
    a, structure = flatten(expected)
    b, other = flatten(found)
    assert structure == other
    for x, y in zip(a, b, strict=True):
        assert x.dtype == y.dtype
        assert torch.equal(torch.nan_to_num(x), torch.nan_to_num(y))


def taken(model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """What a graph of the model takes of the model's arguments."""
    return Arguments(model, args, kwargs).tensor_arguments()


def run(module: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any], *, train: bool = False) -> Any:
    """Call a copy of a module on copies of arguments, in a mode, with a fixed seed."""
    module = copy.deepcopy(module).train(train)
    args, kwargs = copy.deepcopy((tuple(args), dict(kwargs)))
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return module(*args, **kwargs)


def check(
    model: nn.Module,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    others: Sequence[tuple[Sequence[Any], Mapping[str, Any]]] = (),
    train: bool = True,
    **options: Any,
) -> Capture:
    """Capture a model and compare the lowered graph with it.

    Args:
        model: the model.
        args: example positional arguments.
        kwargs: example keyword arguments.
        others: further arguments to compare on, of other sizes.
        train: whether to compare in training, too: results with the same seed, gradients and buffers.
        options: for `capture`.
    """
    kwargs = dict(kwargs or {})
    before = {k: v.clone() for k, v in model.state_dict().items()}
    made = capture(model, args, kwargs, **options)
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), f"capture changed {key}"
    graph = made.graph
    verify(graph)
    assert loads(dumps(graph)) == graph
    lowered = lower(graph, source_model=model)
    for each_args, each_kwargs in [(args, kwargs), *others]:
        assert_same(
            run(model, each_args, each_kwargs), run(lowered, (), taken(model, each_args, each_kwargs))
        )
    assert set(lowered.state_dict()) == set(model.state_dict())
    if train:
        assert_same(
            run(model, args, kwargs, train=True), run(lowered, (), taken(model, args, kwargs), train=True)
        )
        _assert_same_training(model, lowered, args, kwargs)
    return made


def _assert_same_training(
    model: nn.Module, lowered: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> None:
    """One step leaves the same gradients and buffers in both."""
    states: list[dict[str, torch.Tensor]] = []
    calls = ((model, args, kwargs), (lowered, (), taken(model, args, kwargs)))
    for module, given, named in calls:
        module = copy.deepcopy(module).train()
        with torch.random.fork_rng():
            torch.manual_seed(3)
            leaves, _ = flatten(module(*copy.deepcopy(tuple(given)), **copy.deepcopy(dict(named))))
        losses = [x.sum() for x in leaves if x.requires_grad]
        if losses:
            torch.stack(losses).sum().backward()
        gradients = {k: p.grad for k, p in module.named_parameters() if p.grad is not None}
        states.append({**gradients, **dict(module.named_buffers())})
    ours = {k: v for k, v in states[1].items() if k in states[0]}
    assert ours.keys() == states[0].keys()
    for key, value in states[0].items():
        torch.testing.assert_close(ours[key], value, msg=lambda m, key=key: f"{key}: {m}")

"""fold-constants: what is computed once, what stays, and that the numbers stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import mase
from mase.ir import Graph
from mase.ir.verify import verify


class Fn(nn.Module):
    def __init__(self, fn: Callable[..., Any]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4))
        self.register_buffer("angles", torch.randn(4), persistent=False)
        self.fn = fn

    def forward(self, x: Tensor) -> Any:
        return self.fn(self, x)


def folded(fn: Callable[..., Any], x: Tensor | None = None) -> Graph:
    model, x = Fn(fn), torch.randn(3, 4) if x is None else x
    graph = mase.Pipeline("fold-constants").run(mase.trace(model, (x,)))
    assert not verify(graph)
    found, expected = mase.lower(graph).eval()(x), model(x)
    assert all(map(torch.equal, _flat(found), _flat(expected)))
    return graph


def _flat(value: Any) -> list[Tensor]:
    return [value] if isinstance(value, Tensor) else list(value)


def ops(graph: Graph) -> list[str]:
    return [node.op.name for node in graph.nodes]


def test_a_table_becomes_one_buffer() -> None:
    graph = folded(lambda m, x: x * (torch.arange(4) * m.angles).cos())
    assert ops(graph) == ["core.input", "core.parameter", "tensor.mul"]
    (parameter,) = graph.find(mase.ir.ops.core.Parameter)
    assert graph.state.entry(parameter.params["value"]).kind == "buffer"


def test_names_that_modules_have() -> None:
    """A node called ``to`` becomes no buffer of that name, which modules have as a method."""
    graph = folded(lambda m, x: x * torch.arange(4).to(torch.float32))
    assert ops(graph) == ["core.input", "core.parameter", "tensor.mul"]


def test_several_and_twice() -> None:
    def fn(m: Fn, x: Tensor) -> Tensor:
        angle = torch.arange(4) * m.angles
        return x * angle.cos() + angle.sin() * x

    graph = folded(fn)
    assert ops(graph).count("core.parameter") == 2
    again = mase.Pipeline("fold-constants").run(graph.copy())
    assert ops(again) == ops(graph)


def test_weights_inputs_sizes_and_chance_stay() -> None:
    graph = folded(lambda m, x: x + m.weight.cos() + torch.arange(x.shape[0]).unsqueeze(1))
    assert {"aten.cos.default", "aten.arange.default"} <= {
        getattr(node.op, "target", "") for node in graph.nodes
    }


def test_a_constant_that_is_returned() -> None:
    graph = folded(lambda m, x: (x + 1, torch.arange(4).cos()))
    assert ops(graph).count("core.parameter") == 1

"""tabulate: which functions of integers become tables, and that the numbers stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import mase
from mase.ir import Graph, MaseError
from mase.ir.ops.nn import Embedding
from mase.ir.verify import verify


class Fn(nn.Module):
    def __init__(self, fn: Callable[..., Tensor]) -> None:
        super().__init__()
        self.fn = fn
        self.register_buffer("angles", torch.tensor([1.0, 0.1, 0.01]), persistent=False)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.fn(self, x, mask)


X, MASK = torch.randn(2, 5, 3), torch.rand(2, 5) > 0.3


def tabulated(fn: Callable[..., Tensor], mask: Tensor = MASK, rows: int = 16) -> Graph:
    model = Fn(fn)
    dynamic = {"x": {0: "N", 1: "L"}, "mask": {0: "N", 1: "L"}}
    graph = mase.trace(model, (X, mask), dynamic=dynamic)
    mase.Pipeline(f"tabulate{{positions={rows}}}").run(graph)
    assert not verify(graph)
    assert mase.loads(mase.dumps(graph)) == graph
    for x, m in ((X, mask), (torch.randn(3, rows, 3), mask[:1].repeat(3, 4)[:, :rows])):
        found, expected = mase.lower(graph).eval()(x, m), model(x, m)
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    return graph


def shapes(graph: Graph) -> list[str]:
    return [str(graph.state.entry(n.params["weight"]).type) for n in graph.find(Embedding)]


def rotary(m: Any, x: Tensor, mask: Tensor) -> Tensor:
    angles = torch.arange(x.shape[1])[None, :, None].float() * m.angles
    both = torch.cat((angles, angles), -1)
    return x * both.cos()[..., :3] + x * (both.sin() * 0.5)[..., 3:]


TABLES: dict[str, tuple[Callable[..., Tensor], Tensor, list[str]]] = {
    "angles": (rotary, MASK, ["f32[16,6]", "f32[16,6]"]),
    "added mask": (lambda m, x, k: x.sum(-1) + (1.0 - k.float()) * -1e4, MASK, ["f32[2,1]"]),
    "chosen": (lambda m, x, k: x + torch.where(k[..., None], 0.0, -torch.inf), MASK, ["f32[2,1]"]),
    "filled": (
        lambda m, x, k: x.sum(-1) + torch.zeros_like(k, dtype=torch.float32).masked_fill(k, -9.0),
        MASK,
        ["f32[2,1]"],
    ),
    "numbers": (lambda m, x, k: x.sum(-1) * (k * 2).float().sqrt(), MASK.long() * 3, ["f32[16,1]"]),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables(name: str) -> None:
    fn, mask, expected = TABLES[name]
    assert shapes(tabulated(fn, mask)) == expected


NONE: dict[str, Callable[..., Tensor]] = {
    "two masks": lambda m, x, k: x.sum(-1) + k.float() * (~k).roll(1, 1).float(),
    "sums of a mask": lambda m, x, k: x.sum(-1) + k.float().cumsum(1).exp(),
    "floats": lambda m, x, k: x.cos(),
    "nothing that varies": lambda m, x, k: x + m.angles.cos(),
    "a row for each": lambda m, x, k: x[:, :3] * (torch.arange(3).float()[:, None] * m.angles),
}


@pytest.mark.parametrize("name", NONE)
def test_what_is_no_function_of_one_integer_stays(name: str) -> None:
    graph = tabulated(NONE[name])
    assert all(shape == "f32[2,1]" for shape in shapes(graph))  # the mask's own conversion to float
    last = graph.outputs[0]
    assert not isinstance(last.op, Embedding)


def test_twice_is_once() -> None:
    graph = tabulated(rotary)
    again = mase.Pipeline("tabulate").run(graph.copy())
    assert [str(n) for n in again.nodes] == [str(n) for n in graph.nodes]


def test_beyond_the_table_is_an_error() -> None:
    module = mase.lower(tabulated(rotary, rows=8)).eval()
    with pytest.raises(IndexError):
        module(torch.zeros(1, 9, 3), torch.ones(1, 9).bool())


def test_refused() -> None:
    with pytest.raises(MaseError, match="positions is 0"):
        tabulated(rotary, rows=0)

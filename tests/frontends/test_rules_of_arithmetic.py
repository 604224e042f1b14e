"""Division, means and norms that are called become ops where these compute the same."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import mase
from tests.frontends.checks import check, ops_of


class Fn(nn.Module):
    """A function of one tensor as a model."""

    def __init__(self, fn: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, x: Tensor) -> Tensor:
        return self.fn(x)


FOUND: dict[str, tuple[Callable[[Tensor], Tensor], list[str]]] = {
    "quotient": (lambda x: x / x.exp(), ["aten.exp.default", "tensor.div"]),
    "by a number": (lambda x: x / 3, ["aten.div.Tensor"]),
    "rounded": (
        lambda x: torch.div(x, x.exp(), rounding_mode="floor"),
        ["aten.exp.default", "aten.div.Tensor_mode"],
    ),
    "mean of all": (lambda x: x.mean(), ["tensor.mean"]),
    "mean": (lambda x: x.mean((1, -1), keepdim=True), ["tensor.mean"]),
    "mean of one": (lambda x: torch.mean(x, 2), ["tensor.mean"]),
    "mean in another type": (lambda x: x.mean(-1, dtype=torch.float64), ["aten.mean.dim"]),
    "mean in its own type": (lambda x: x.mean(-1, dtype=torch.float32), ["tensor.mean"]),
    "selu": (F.selu, ["nn.selu"]),
    "instance norm": (F.instance_norm, ["nn.instance_norm"]),
}


@pytest.mark.parametrize("name", FOUND)
def test_calls(name: str) -> None:
    fn, ops = FOUND[name]
    x = torch.randn(2, 3, 5)
    made = check(Fn(fn), (x,), others=[((torch.randn(4, 3, 5),), {})])
    assert ops_of(made.graph) == ops


@pytest.mark.parametrize("name", ["quotient", "mean", "mean of all", "mean of one", "selu"])
def test_the_other_tracer(name: str) -> None:
    fn, ops = FOUND[name]
    found = ops_of(check(Fn(fn), (torch.randn(2, 3, 5),), tracer="fx").graph)
    assert found[-1] == ops[-1]


def test_integers_divide_as_calls() -> None:
    class Ids(nn.Module):
        def forward(self, ids: Tensor) -> Any:
            return ids / (ids + 1)

    made = check(Ids(), (torch.ones(3, 4, dtype=torch.long),), train=False)
    assert ops_of(made.graph)[-1] == "aten.div.Tensor"


def test_attributes_that_transpose_are_moves() -> None:
    class Turned(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mT @ x.permute(2, 1, 0).T.permute(0, 1, 2)

    graph = mase.trace(Turned(), (torch.randn(3, 3, 3),), dynamic={})
    names = {node.op.name for node in graph.nodes}
    assert names == {"core.input", "tensor.transpose", "tensor.permute", "tensor.matmul"}

"""Weights rounded together: against another form of the same method, and by what layers compute."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import mase
from mase.ir import Graph, MaseError, TensorType
from mase.ir.formats import F32
from mase.ir.ops import conv
from mase.ir.ops.core import Input
from mase.ir.ops.quantized import QuantizedOp
from mase.passes import Pipeline
from mase.passes.analyses.second_moments import factors
from mase.passes.context import Context
from mase.passes.transforms.second_order import round_rows, squared_errors
from tests.runtime.onnx.cases import Rows

Quantizer = Callable[[Tensor, Tensor], Tensor]


def seeded(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def correlated(rows: int, terms: int, seed: int = 0) -> Tensor:
    """Operands of which some say much of others, as those of real layers do."""
    return seeded(rows, terms, seed=seed) @ (seeded(terms, terms, seed=seed + 1) / 2 + torch.eye(terms))


def thirds(x: Tensor, columns: Tensor) -> Tensor:
    return ((x * 3).round() / 3).clamp(-1, 1)


def one_by_one(weight: NDArray[Any], hessian: NDArray[Any]) -> NDArray[Any]:
    """Optimal Brain Quantization, column after column, by inverting what is left of ``H`` each time."""
    rest, rounded = weight.astype(np.float64), np.zeros_like(weight, np.float64)
    for i in range(weight.shape[1]):
        inverse = np.linalg.inv(hessian[i:, i:])
        rounded[:, i] = np.clip(np.round(rest[:, i] * 3) / 3, -1, 1)
        error = (rest[:, i] - rounded[:, i]) / inverse[0, 0]
        rest[:, i:] -= np.outer(error, inverse[0])
    return rounded


@pytest.mark.parametrize("terms", [1, 7, 130, 300])  # blocks hold 128
def test_the_same_as_inverting_what_is_left_each_time(terms: int) -> None:
    weight, x = seeded(6, terms) / 3, correlated(3 * terms, terms).double()
    moments = x.T @ x
    damped = moments + torch.eye(terms) * moments.diagonal().mean() * 0.01
    expected = torch.from_numpy(one_by_one(weight.numpy(), damped.numpy())).float()
    found = round_rows(weight, moments, thirds, by_activation=False)
    better = squared_errors(weight, expected, moments) < squared_errors(
        weight, thirds(weight, weight), moments
    )
    torch.testing.assert_close(found[better], expected[better])
    assert int(better.sum()) >= (terms > 1) * 3


@pytest.mark.parametrize("by_activation", [True, False])
def test_no_row_is_worse_than_its_nearest_numbers_and_most_are_better(by_activation: bool) -> None:
    weight, x = seeded(40, 24) / 3, correlated(200, 24) * torch.logspace(-1, 1, 24)
    moments = x.T @ x
    found = round_rows(weight, moments, thirds, by_activation=by_activation)
    before, after = (squared_errors(weight, q, moments) for q in (thirds(weight, weight), found))
    assert torch.equal(thirds(found, found), found)
    assert bool((after <= before).all())
    assert float(after.sum()) < (0.5 if by_activation else 0.9) * float(before.sum())


def test_near_the_best_of_all_ways_to_round() -> None:
    weight, x = seeded(20, 6) / 3, correlated(50, 6)
    moments, grid = x.T @ x, torch.tensor([-1, -2 / 3, -1 / 3, 0, 1 / 3, 2 / 3, 1])
    every = torch.cartesian_prod(*[grid] * 6)

    def least(row: Tensor) -> float:
        return float(squared_errors(row.expand_as(every), every, moments).min())

    best = sum(least(row) for row in weight)
    nearest, found = (
        float(squared_errors(weight, q, moments).sum())
        for q in (thirds(weight, weight), round_rows(weight, moments, thirds))
    )
    assert best <= found < best + 0.2 * (nearest - best)


def test_what_nothing_is_multiplied_by_takes_the_nearest_number() -> None:
    weight, x = seeded(3, 5), seeded(50, 5)
    x[:, 2] = 0
    found = round_rows(weight, x.T @ x, thirds)
    assert torch.equal(found[:, 2], thirds(weight, weight)[:, 2])
    assert torch.equal(round_rows(weight, torch.zeros(5, 5), thirds), thirds(weight, weight))


CONVOLUTIONS = [
    (nn.Conv1d(4, 6, 3, stride=2, padding=1), (2, 4, 9)),
    (
        nn.Conv2d(4, 6, (3, 2), dilation=(2, 1), padding=(1, 0), groups=2, padding_mode="reflect"),
        (2, 4, 9, 8),
    ),
    (nn.Conv2d(4, 8, 3, groups=4, padding=1), (4, 9, 8)),
    (nn.Conv3d(2, 3, 2, padding=1, padding_mode="circular"), (2, 2, 4, 4, 4)),
]


@pytest.mark.parametrize(("layer", "shape"), CONVOLUTIONS)
def test_a_convolution_is_a_product_of_its_rows_with_the_factors(layer: Any, shape: tuple[int, ...]) -> None:
    x, graph = seeded(*shape), Graph()
    kind: Any = {1: conv.Conv1d, 2: conv.Conv2d, 3: conv.Conv3d}[layer.weight.dim() - 2]
    op = kind(
        stride=layer.stride,
        padding=tuple((p, p) for p in layer.padding),
        dilation=layer.dilation,
        groups=layer.groups,
        padding_mode=layer.padding_mode,
    )
    graph.state["weight"] = layer.weight
    node = graph.add(op, graph.add(Input(), type=TensorType(F32, shape)), params={"weight": "weight"})
    rows = factors(node, x)
    weight = layer.weight.detach().reshape(layer.groups, -1, rows.shape[-1])
    made = torch.einsum("ngk,gok->ngo", rows, weight).flatten(1) + layer.bias.detach()
    expected = layer(x).detach()
    expected = expected if x.dim() == layer.weight.dim() else expected.unsqueeze(0)
    torch.testing.assert_close(made, expected.movedim(1, -1).reshape(-1, expected.shape[1]))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 6, 3, groups=2)
        self.head = nn.Linear(6 * 16, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.first(x).relu().flatten(1))


FORMATS = [
    "fixed<3>",
    "int<3>",
    "int<3,channel=0>",
    "uint<3,asym,channel=0>",
    "int<3,channel=1>",
    "int<3,group=16>",
    "float<4,1>",
    "int<3,channel=0,half_up>",
]


def quantized(weight: str, options: str = "") -> tuple[Graph, Tensor, nn.Module]:
    torch.manual_seed(0)
    net = Net().eval()
    x = (seeded(400, 12, seed=1) @ seeded(12, 72, seed=3) / 4).reshape(
        400, 2, 6, 6
    )  # of 12 dimensions, as images
    graph = mase.trace(net, args=(x,))
    Pipeline(f'quantize{{default={{weight="{weight}"}} {options}}}').run(graph, data=Rows(x))
    return graph, x, net


@pytest.mark.parametrize("weight", FORMATS)
def test_outputs_come_nearer_to_those_before_in_every_format(weight: str) -> None:
    graph, x, net = quantized(weight)
    with torch.no_grad():
        expected = net(x)
        before = (mase.lower(graph).eval()(x) - expected).square().mean()
        Pipeline("gptq{batches=4}").run(graph, data=Rows(x))
        module = mase.lower(graph).eval()
        after = (module(x) - expected).square().mean()
    assert float(after) < 0.8 * float(before)
    for node in graph.find(QuantizedOp):
        part: Any = module.get_submodule(node.name)
        if "weight" in node.params and node.name != "first":
            assert torch.equal(
                part.quantized("weight", part.weight), part.weight
            )  # on the grid, and it stays


def test_scales_are_kept_and_training_goes_on() -> None:
    graph, x, _ = quantized("int<3,channel=0>", "weight_scales=learned calibrate=mse")
    before = {key: graph.state[key].clone() for key in graph.state if "scale" in key}
    Pipeline("gptq").run(graph, data=Rows(x))
    assert before
    assert all(torch.equal(graph.state[key], scale) for key, scale in before.items())
    module = mase.lower(graph).train()
    module(x).square().mean().backward()
    assert all(p.grad is not None for p in module.parameters())


def test_a_second_run_changes_nothing() -> None:
    graph, x, _ = quantized("int<3,channel=0>")
    Pipeline("gptq").run(graph, data=Rows(x))
    once = {key: graph.state[key].clone() for key in graph.state}
    Pipeline("gptq").run(graph, data=Rows(x))
    assert all(torch.equal(graph.state[key], once[key]) for key in graph.state)


def test_what_cannot_be_rounded_so_says_why() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.head, self.free = nn.Embedding(9, 4), nn.Linear(4, 9), nn.Linear(4, 4)
            self.turn = nn.ConvTranspose1d(9, 3, 1)
            self.head.weight = self.table.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.turn(self.head(self.free(self.table(x))).mT)

    ids = torch.randint(0, 9, (8, 5))
    graph = mase.trace(Tied(), args=(ids,))
    Pipeline('quantize{default={weight="int<4>"}}').run(graph, data=Rows(ids))
    ctx = Context(graph, data=Rows(ids))
    Pipeline("gptq").run_in(ctx)
    reasons = {node: d.message for (_, node), d in ctx.rejected.items()}
    assert "used in another way" in reasons["head"]
    assert "neither a linear layer nor a convolution" in reasons["turn"]
    assert ctx.stats["gptq"]["rounded"] == 1
    assert [key for key in graph.state if "scale" in key] == ["free.weight_scale"]


def test_formats_whose_scales_would_change_are_left() -> None:
    graph, x, _ = quantized("mxint<4,8>")
    with pytest.raises(MaseError, match="no linear layer or convolution has a weight to round"):
        Pipeline("gptq").run(graph, data=Rows(x))


@pytest.mark.parametrize(
    ("options", "message"),
    [("damping=0", "damping is 0"), ("batches=0", "batches is 0"), ("order=size", "order")],
)
def test_bad_options(options: str, message: str) -> None:
    graph, x, _ = quantized("int<3>")
    with pytest.raises(MaseError, match=message):
        Pipeline(f"gptq{{{options}}}").run(graph, data=Rows(x))


def test_without_data() -> None:
    graph, _, _ = quantized("int<3,channel=0>")
    with pytest.raises(MaseError, match="gptq needs data"):
        Pipeline("gptq").run(graph)

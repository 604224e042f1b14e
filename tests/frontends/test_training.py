"""What depends on training obeys the lowered module's mode, whatever mode the model was captured in."""

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mase.frontends.capture import capture
from mase.runtime.lower import lower
from tests.frontends.checks import check, ops_of


class Functional(nn.Module):
    """Dropout, attention and batch norm as functions."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(4))
        self.bias = nn.Parameter(torch.rand(4))
        self.register_buffer("mean", torch.zeros(4))
        self.register_buffer("var", torch.ones(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.dropout(x, 0.4, self.training)
        x = F.scaled_dot_product_attention(x, x, x, dropout_p=0.3 if self.training else 0.0, is_causal=True)
        x = F.batch_norm(
            x.transpose(1, 2), self.mean, self.var, self.weight, self.bias, self.training, 0.2, 1e-3
        )
        return F.dropout(x, 0.1, self.training, inplace=True)


def test_functional_units() -> None:
    model = nn.Sequential(Functional(), nn.Identity())
    graph = check(model, (torch.randn(2, 3, 4),)).graph
    assert ops_of(graph) == [
        "nn.dropout",
        "nn.attention",
        "tensor.transpose",
        "nn.batch_norm",
        "nn.dropout",
        "nn.identity",
    ]
    norm = next(n for n in graph.nodes if n.op.name == "nn.batch_norm")
    assert norm.params == {
        "weight": "0.weight",
        "bias": "0.bias",
        "running_mean": "0.mean",
        "running_var": "0.var",
    }


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_dropout_is_found_in_either_mode(mode: Any) -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.dropout(x, 0.4, self.training)

    graph = capture(Net(), (torch.ones(2, 3),), mode=mode).graph
    assert ops_of(graph) == ["nn.dropout"]


def test_dropout_that_never_stops_is_no_unit_in_eval_mode() -> None:
    class Always(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.dropout(x, 0.4)

    made = capture(Always(), (torch.ones(2, 3),), mode="eval")
    assert ops_of(made.graph) == ["aten.dropout.default"]


class DropPath(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return x
        return x * x.new_empty(x.shape[0], 1).bernoulli_(0.5)


def test_a_module_that_branches_on_training_stays_whole() -> None:
    model = nn.Sequential(nn.Linear(4, 4), DropPath())
    graph = check(model, (torch.randn(2, 4),)).graph
    assert ops_of(graph) == ["nn.linear", "torch.module"]


class CountingNorm(nn.BatchNorm2d):
    """Writes out what batch norm does, as libraries do that fuse an activation into it."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        x = F.batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias,
            self.training or self.running_mean is None, self.momentum or 0.0, self.eps,
        )  # fmt: skip
        return self.act(x)

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.act = nn.ReLU()


def test_a_batch_counter_joins_its_norm() -> None:
    model = nn.Sequential(nn.Conv2d(1, 3, 3), CountingNorm(3))
    graph = check(model, (torch.randn(2, 1, 5, 5),)).graph
    assert ops_of(graph) == ["nn.conv2d", "nn.batch_norm", "nn.relu"]
    assert len(graph.find(type(graph["batch_norm"].op))[0].params) == 5


def test_capture_leaves_running_statistics_alone() -> None:
    model = nn.Sequential(nn.BatchNorm1d(4), nn.Dropout(0.5)).train()
    before = copy.deepcopy(model.state_dict())
    for tracer in ("export", "fx"):
        capture(model, (torch.randn(3, 4),), tracer=tracer)
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_auxiliary_heads_are_captured_in_eval_mode_on_request() -> None:
    class Aux(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.aux = nn.Linear(4, 2), nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> Any:
            return (self.fc(x), self.aux(x)) if self.training else self.fc(x)

    assert str(capture(Aux(), (torch.ones(2, 4),)).graph.structure) == "(%0, %1)"
    assert str(check(Aux(), (torch.ones(2, 4),), mode="eval", train=False).graph.structure) == "%0"


def test_what_only_eval_mode_allows_is_captured_there() -> None:
    class LayerDrop(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for layer in self.layers:
                if not self.training or torch.rand([]) > 0.5:
                    x = layer(x)
            return x

    made = check(LayerDrop(), (torch.randn(2, 4),), train=False)
    assert made.mode == "eval"
    assert "traced in eval mode" in made.notes[0].message


def test_the_lowered_module_trains() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))
    module = lower(capture(model, (torch.randn(2, 4),)).graph).train()
    x = torch.randn(32, 4)
    optimizer = torch.optim.SGD(module.parameters(), 0.05)
    losses: list[float] = []
    for _ in range(20):
        loss = (module(x) - x.sum(1, keepdim=True)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]

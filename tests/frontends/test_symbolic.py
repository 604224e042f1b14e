"""The fx tracer: the same ops from the model's own fx rules."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import fx, nn

from mase.frontends.capture import capture
from mase.ir import MaseError
from tests.frontends.checks import check, ops_of


@fx.wrap
def _jump(x: torch.Tensor) -> torch.Tensor:
    return x * 2 if x.sum() > 0 else x


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.fc = nn.Linear(4, 3)
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, x: torch.Tensor, gain: float = 2.0, bias: torch.Tensor | None = None) -> Any:
        y = self.conv(x)
        z = self.relu(self.norm(y))
        z = F.dropout(z, 0.25, self.training)
        z = F.max_pool2d(z, 2).mean(dim=(2, 3)) * gain
        n = x.shape[0]
        z = self.fc(z.view(n, -1)) * self.scale
        if bias is not None:
            z += bias
        return {"logits": z, "probabilities": torch.softmax(z, dim=-1), "size": x.size(1)}


def test_a_net() -> None:
    graph = check(Net(), (torch.randn(2, 1, 6, 6),), {"bias": torch.ones(3)}, tracer="fx").graph
    assert ops_of(graph) == [
        "nn.conv2d", "nn.batch_norm", "nn.relu", "nn.dropout", "nn.max_pool2d", "tensor.mean",
        "operator.mul", "torch.Tensor.size", "core.getitem", "torch.Tensor.view", "nn.linear", "tensor.mul",
        "tensor.add", "nn.softmax",
    ]  # fmt: skip
    assert str(graph.structure) == "{'logits': %0, 'probabilities': %1, 'size': 1}"
    assert str(graph["fc"].type) == "f32[N,3]"
    assert graph["fc"].scope == "fc"
    assert graph["fc"].loc is not None
    assert graph["fc"].loc.file.endswith("test_symbolic.py")


@pytest.mark.parametrize("tracer", ["export", "fx"])
def test_both_tracers_find_the_same_ops(tracer: Any) -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 2),
    )
    graph = check(model, (torch.randn(2, 1, 6, 6),), tracer=tracer).graph
    assert ops_of(graph) == [
        "nn.conv2d", "nn.batch_norm", "nn.relu", "nn.adaptive_avg_pool2d", "tensor.flatten", "nn.linear",
    ]  # fmt: skip


def test_in_place_modules_and_operators() -> None:
    class InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu = nn.ReLU(inplace=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x * 2
            z = self.relu(y)
            w = y + z
            w += x
            return F.relu(w, inplace=True) + w

    graph = check(InPlace(), (torch.randn(2, 3),), tracer="fx").graph
    assert ops_of(graph) == ["operator.mul", "nn.relu", "tensor.add", "tensor.add", "nn.relu", "tensor.add"]


def test_constants_and_tuples() -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            a, b = x.chunk(2, dim=1)
            values, _ = torch.max(a, dim=1, keepdim=True)
            return torch.cat([a, b + values], dim=1) + torch.tensor([1.0, 2.0, 3.0, 4.0])

    graph = check(Net(), (torch.randn(2, 4),), tracer="fx").graph
    assert "tensor.concat" in ops_of(graph)
    assert [e.kind for e in graph.state.entries().values()] == ["constant"]


def test_the_models_own_rules() -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return _jump(x) + 1

    with pytest.raises(MaseError, match="control flow depends on the values"):
        capture(Net(), (torch.ones(2, 3),), tracer="fx")


def test_a_leaf_of_torch_without_an_op_stays_whole() -> None:
    graph = check(
        nn.Sequential(nn.PReLU(), nn.LSTM(4, 4)), (torch.randn(3, 2, 4),), tracer="fx", train=False
    ).graph
    assert ops_of(graph)[:2] == ["torch.module", "torch.module"]

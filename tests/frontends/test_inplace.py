"""In-place calls become pure ones, and every later look at what they wrote sees it."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mase.frontends.capture import capture
from tests.frontends.checks import check, ops_of


def _write_through_view(x: torch.Tensor) -> torch.Tensor:
    y = x * 1
    y[:, 1:, 0] = 5.0
    return y


def _shift(x: torch.Tensor) -> torch.Tensor:
    y = torch.zeros_like(x)
    y[:, 1:] = x[:, :-1].clone()
    y[:, 0] = 2
    return y


def _view_taken_before(x: torch.Tensor) -> Any:
    y = x + 1
    rows = y.view(-1)
    y.mul_(2)
    return rows, y


def _view_written(x: torch.Tensor) -> Any:
    y = x + 1
    flat = y.view(-1)
    flat.add_(1)
    flat[0] = 7.0
    return y, flat


def _transposed(x: torch.Tensor) -> Any:
    y = x + 1
    turned = y.transpose(0, 1).permute(2, 0, 1).unsqueeze(1)
    turned.clamp_(min=0.5)
    return y * 2


def _mask(x: torch.Tensor) -> torch.Tensor:
    y = x.clone()
    y[y > 0] = -1.0
    y.masked_fill_(y < -2, 9.0)
    return y


def _copy_and_casts(x: torch.Tensor) -> torch.Tensor:
    y = torch.zeros(x.shape, dtype=torch.float64)
    y.copy_(x)
    y += x  # stays float64
    z = torch.zeros(x.shape)
    z += y  # stays float32, unlike z + y
    return z


def _activations(x: torch.Tensor) -> Any:
    y = x + 0
    z = F.hardtanh_(y, -0.5, 0.5)
    return y, z


def _twice(x: torch.Tensor) -> torch.Tensor:
    y = x * 2
    part = y[:, 0]
    part += 1
    part *= 3
    other = y[:, 1:]
    other -= part.unsqueeze(1)
    return y


def _constant(x: torch.Tensor) -> torch.Tensor:
    table = torch.tensor([1.0, 2.0, 3.0, 4.0])
    table += 1
    table[0] = 8
    return x + table


FUNCTIONS = [
    _write_through_view, _shift, _view_taken_before, _view_written, _transposed, _mask, _copy_and_casts,
    _activations, _twice, _constant,
]  # fmt: skip


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_functions(function: Any) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(4))

        def forward(self, x: torch.Tensor) -> Any:
            return function(x * self.scale)

    graph = check(Net(), (torch.randn(2, 3, 4),), others=[((torch.randn(4, 3, 4),), {})]).graph
    written = [name for name in ops_of(graph) if name.split(".")[1].endswith("_")]
    assert not written or function in (_copy_and_casts,)


def test_modules_in_place() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 4)
            self.relu = nn.ReLU(inplace=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.fc(x)
            flat = y.view(-1, 2, 2)
            z = self.relu(y)
            return y + z + flat.view(-1, 4)

    graph = check(Net(), (torch.randn(2, 4),)).graph
    assert sorted(ops_of(graph)) == [*["aten.view.default"] * 2, "nn.linear", "nn.relu", *["tensor.add"] * 2]


def test_writes_into_inputs_and_buffers_stay() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("count", torch.zeros(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.count.add_(1)
            x[:, 0] = 3.0
            return x + self.count

    graph = check(Net(), (torch.randn(2, 4),)).graph
    assert "aten.add_.Tensor" in ops_of(graph)


def test_random_writes_stay() -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * torch.empty_like(x).bernoulli_(0.5)

    assert "aten.bernoulli_.float" in ops_of(capture(Net(), (torch.ones(2, 3),)).graph)

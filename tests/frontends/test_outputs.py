"""A captured graph returns what its model does, in the same structure."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

from mase.frontends import trace
from mase.ir import MaseError
from tests.frontends.checks import check


@dataclass
class Result:
    scores: torch.Tensor
    hidden: torch.Tensor | None = None
    size: int = 0


class Pair(NamedTuple):
    a: torch.Tensor
    b: torch.Tensor


def _net(make: Any) -> nn.Module:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> Any:
            return make(x, self.fc(x))

    return Net()


@pytest.mark.parametrize(
    ("make", "structure"),
    [
        (lambda x, y: y, "%0"),
        (lambda x, y: (y,), "(%0,)"),
        (lambda x, y: (y, y + 1), "(%0, %1)"),
        (lambda x, y: [y, (y + 1, None)], "[%0, (%1, None)]"),
        (lambda x, y: {"logits": y, "aux": {"h": y * 2}}, "{'logits': %0, 'aux': {'h': %1}}"),
        (lambda x, y: (y, y), "(%0, %0)"),
        (lambda x, y: (x, y), "(%0, %1)"),
        (lambda x, y: (x.view(-1), y), "(%0, %1)"),
        (lambda x, y: (y, 3, "name", 0.5), "(%0, 3, 'name', 0.5)"),
        (
            lambda x, y: Result(y, size=7),
            "tests.frontends.test_outputs.Result(scores=%0, hidden=None, size=7)",
        ),
        (lambda x, y: Pair(y, x), "tests.frontends.test_outputs.Pair(a=%0, b=%1)"),
    ],
)
def test_structures(make: Any, structure: str) -> None:
    graph = check(_net(make), (torch.randn(2, 4),), others=[((torch.randn(5, 4),), {})]).graph
    assert str(graph.structure) == structure


def test_a_size_among_the_outputs() -> None:
    graph = check(_net(lambda x, y: (y, x.shape[0])), (torch.randn(2, 4),), train=False).graph
    assert [str(n.type) for n in graph.outputs] == ["f32[N,4]", "int(N)"]


def test_a_parameter_among_the_outputs() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.randn(3))

        def forward(self, x: torch.Tensor) -> Any:
            return x + self.w, self.w

    check(Net(), (torch.randn(2, 3),))


def test_an_unknown_object_is_refused() -> None:
    class Box:
        pass

    with pytest.raises(MaseError, match="Box, which is neither a tensor nor a known container"):
        trace(_net(lambda x, y: Box()), (torch.randn(2, 4),))


class Inner(nn.Module):
    """Returns something nested, whole."""

    def __init__(self, make: Any) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.make = make

    def forward(self, x: torch.Tensor) -> Any:
        return self.make(x, self.fc(x))


@pytest.mark.parametrize(
    ("make", "use"),
    [
        (lambda x, y: (y, y + 1), lambda r: r[0] * r[1]),
        (lambda x, y: (None, y), lambda r: r[1]),
        (lambda x, y: (y, (y + 1, y * 2)), lambda r: r[0] + r[1][1]),
        (lambda x, y: [y, x], lambda r: r[1] - r[0]),
        (lambda x, y: x.view(-1, 2, 2), lambda r: r + 1),
        (lambda x, y: x, lambda r: r + 1),
    ],
)
def test_what_an_opaque_module_returns(make: Any, use: Any) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Inner(make)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return use(self.inner(x))

    others = [((torch.randn(5, 4),), {})]
    graph = check(Net(), (torch.randn(2, 4),), opaque=("inner",), others=others).graph
    assert graph["inner"].op.name == "torch.module"

"""Symbolic sizes: their names, what depends on them, and sizes that cannot vary."""

from typing import Any

import pytest
import torch
from torch import nn

from mase.frontends import trace
from mase.frontends.capture import capture
from mase.frontends.values import Dims
from mase.ir import MaseError, NoneType, ScalarType
from mase.runtime.lower import lower
from tests.frontends.checks import check


class Attend(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        n, length, width = x.shape
        heads = self.fc(x).view(n, length, 2, width // 2).transpose(1, 2)
        scores = heads @ heads.transpose(-1, -2) + mask[:, None, None, :]
        return torch.cat([scores, scores], dim=-1).reshape(n, -1)


NAMES = {"x": {0: "N", 1: "L"}, "mask": {0: "N", 1: "L"}}


def test_batch_and_length() -> None:
    graph = check(
        Attend(),
        (torch.randn(2, 5, 4), torch.zeros(2, 5)),
        dynamic=NAMES,
        others=[
            ((torch.randn(3, 7, 4), torch.zeros(3, 7)), {}),
            ((torch.randn(1, 1, 4), torch.zeros(1, 1)), {}),
        ],
    ).graph
    assert [str(n.type) for n in graph.inputs] == ["f32[N,L,4]", "f32[N,L]"]
    assert str(graph.outputs[0].type) == "f32[N,4*L*L]"
    sizes = [n for n in graph.nodes if isinstance(n.type, ScalarType)]
    assert {str(n.type) for n in sizes} == {"int(N)", "int(L)"}


def test_only_the_batch_by_default() -> None:
    graph = capture(Attend(), (torch.randn(2, 5, 4), torch.zeros(2, 5))).graph
    assert [str(n.type) for n in graph.inputs] == ["f32[N,5,4]", "f32[N,5]"]
    assert not capture(Attend(), (torch.randn(2, 5, 4), torch.zeros(2, 5))).notes


def test_nothing_on_request_and_at_batch_one() -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 2

    assert str(trace(Net(), (torch.ones(2, 3),), dynamic={}).inputs[0].type) == "f32[2,3]"
    made = capture(Net(), (torch.ones(1, 3),))
    assert str(made.graph.inputs[0].type) == "f32[1,3]"
    assert "batch of 1" in made.notes[0].message


def test_inputs_of_another_length_do_not_share_the_batch() -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
            return x @ table

    graph = trace(Net(), (torch.ones(2, 3), torch.ones(3, 4)))
    assert [str(n.type) for n in graph.inputs] == ["f32[N,3]", "f32[3,4]"]


def test_expressions_of_sizes() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 3, stride=2, padding=1)
            self.pool = nn.MaxPool2d(2, ceil_mode=True)

        def forward(self, x: torch.Tensor) -> Any:
            y = self.conv(x)
            return y, self.pool(y), x[:, :, 1:, ::2]

    graph = check(
        Net(),
        (torch.randn(2, 1, 12, 16),),
        dynamic={"x": {0: "N", 2: "H", 3: "W"}},
        others=[((torch.randn(3, 1, 21, 10),), {})],
    ).graph
    assert str(graph.outputs[0].type) == "f32[N,1,((H - 1) // 2) + 1,((W - 1) // 2) + 1]"
    assert str(graph.outputs[2].type) == "f32[N,1,H - 1,((W + 1) // 2)]"


@pytest.mark.parametrize(
    ("dynamic", "message"),
    [
        ({"y": {0: "N"}}, "did you mean|no input 'y'"),
        ({"x": {2: "N"}}, "so no dimension 2"),
        ({"x": {1: "L"}}, "give an example whose size there is at least 2"),
    ],
)
def test_wrong_requests(dynamic: Any, message: str) -> None:
    with pytest.raises(MaseError, match=message):
        trace(nn.Sequential(nn.ReLU()).eval(), (torch.ones(2, 1),), dynamic=_renamed(dynamic))


def _renamed(dynamic: dict[str, Any]) -> dict[str, Any]:
    return {"input" if k == "x" else k: v for k, v in dynamic.items()}


def test_a_size_that_was_asked_for_but_cannot_vary() -> None:
    class Fixed(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.reshape(2, 2, -1) if x.shape[0] == 2 else x

    with pytest.raises(MaseError, match="input x: dimension 0 is 2"):
        trace(Fixed(), (torch.randn(2, 4),), dynamic={"x": {0: "N"}})


def test_names_for_what_torch_prints() -> None:
    dims = Dims({"s0": "N", "s1": "L"})
    assert str(dims.parse("s0*((s1//2))")) == "(L // 2)*N"
    assert str(dims.parse("Max(1, s1)")) == "max(1, L)"
    assert str(dims.parse("Strange(s0)")) == str(dims.parse("Strange(s0)"))
    assert str(dims.type_of((torch.zeros(2), None, 3, 0.5, True))) == "(f32[2], none, int(3), float, bool)"
    assert dims.type_of(None) == NoneType()
    with pytest.raises(MaseError, match="cannot be part of a graph"):
        dims.type_of(object())


def test_one_tensor_given_twice_is_two_inputs() -> None:
    class Weighed(nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return x.sum(1) + 2 * y.sum(1)

    same = torch.randn(3, 4)
    graph = trace(
        Weighed(), kwargs={"x": same, "y": same}, dynamic={"x": {0: "N", 1: "L"}, "y": {0: "N", 1: "M"}}
    )
    assert [str(node.type) for node in graph.inputs] == ["f32[N,L]", "f32[N,M]"]
    x, y = torch.randn(2, 5), torch.randn(2, 3)
    torch.testing.assert_close(lower(graph)(x=x, y=y), x.sum(1) + 2 * y.sum(1))

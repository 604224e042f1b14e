"""Modules that cannot be traced become opaque, are reported, and run."""

import pytest
import torch
from torch import nn

from mase.frontends import trace
from mase.ir import MaseError, Severity
from tests.frontends.checks import check


class Jumpy(nn.Module):
    """Its path depends on values."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.sum() > 0:  # values decide
            return self.fc(x)
        return x - self.fc(x)


class Outside(nn.Module):
    """Leaves torch on the way."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        doubled = torch.as_tensor([[v * 2 for v in row] for row in x.tolist()])
        return doubled, {"total": doubled.sum(1)}


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(4, 4)
        self.jumpy = nn.ModuleList([Jumpy(), Jumpy()])
        self.head = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for block in self.jumpy:
            x = block(x)
        return self.head(x)


def test_the_innermost_module_is_promoted_and_reported() -> None:
    torch.manual_seed(0)
    made = check(Net(), (torch.randn(2, 4),), others=[((torch.randn(5, 4),), {})])
    assert [n.scope for n in made.graph.nodes if n.op.name == "torch.module"] == ["jumpy.0", "jumpy.1"]
    assert str(made.graph["jumpy_0"].type) == "f32[N,4]"
    assert len(made.notes) == 2
    note = made.notes[0]
    assert note.severity is Severity.WARNING
    assert "module 'jumpy.0' (Jumpy) cannot be traced and stays opaque" in note.message
    assert note.source is not None
    assert note.source.file.endswith("test_promotion.py")


def test_what_a_promoted_module_returns_is_known_by_example() -> None:
    class Wrapper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Outside()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            first, _ = self.inner(x)
            return first + 1

    made = check(Wrapper(), (torch.randn(2, 4),), others=[((torch.randn(5, 4),), {})], train=False)
    assert str(made.graph["inner"].type) == "(f32[N,4], (f32[N]))"


def test_a_model_that_cannot_be_traced_itself() -> None:
    with pytest.raises(MaseError) as caught:
        trace(Jumpy(), (torch.randn(2, 4),))
    text = str(caught.value)
    assert "cannot trace Jumpy: its control flow depends on the values of tensors" in text
    assert "test_promotion.py:" in text
    assert "opaque=" in text


def test_inputs_that_the_model_does_not_take_are_the_matter() -> None:
    with pytest.raises(MaseError, match=r"input of shape \[2, 5\]: give it inputs that it takes") as caught:
        trace(nn.Sequential(nn.Linear(4, 2)), (torch.randn(2, 5),))
    assert "opaque=" not in str(caught.value)


def test_a_module_that_fails_anyway_is_named() -> None:
    class Broken(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise KeyError("lost")

    with pytest.raises(MaseError, match=r"module '1' of Sequential: KeyError: 'lost'"):
        trace(nn.Sequential(nn.Linear(4, 4), Broken()), (torch.randn(2, 4),))


def test_the_fx_tracer_promotes_too() -> None:
    made = check(Net(), (torch.randn(2, 4),), tracer="fx")
    assert [n.scope for n in made.graph.nodes if n.op.name == "torch.module"] == ["jumpy.0", "jumpy.1"]

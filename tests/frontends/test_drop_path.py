"""Modules of stochastic depth become an op, whoever wrote them, if they do what it does."""

from typing import Any

import pytest
import torch
from torch import nn

from mase.frontends.rules.drop_path import drop_path
from mase.ir.ops.drop_path import DropPath
from tests.frontends.checks import check, ops_of


class Bernoulli(nn.Module):
    def __init__(self, p: float, scaled: bool = True, whole: bool = False) -> None:
        super().__init__()
        self.drop_prob, self.scaled, self.whole = p, scaled, whole

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.drop_prob == 0.0 or not self.training:
            return x
        keep = 1 - self.drop_prob
        mask = x.new_empty((1 if self.whole else len(x),) + (1,) * (x.ndim - 1)).bernoulli_(keep)
        return x * (mask.div_(keep) if self.scaled else mask)


class Floor(Bernoulli):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.drop_prob == 0.0 or not self.training:
            return x
        keep = 1 - self.drop_prob
        return x.div(keep) * torch.floor(torch.rand((len(x),) + (1,) * (x.ndim - 1)) + keep)


class OfColumns(Bernoulli):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.transpose(0, 1)).transpose(0, 1) if self.training else x


CASES = [
    (Bernoulli(0.1), DropPath(p=0.1)),
    (Bernoulli(0.001), DropPath(p=0.001)),
    (Bernoulli(0.0), DropPath(p=0.0)),
    (Bernoulli(0.3, scaled=False), DropPath(p=0.3, scaled=False)),
    (Bernoulli(0.3, whole=True), DropPath(p=0.3, whole=True)),
    (Floor(0.01), DropPath(p=0.01, draw="floor")),
]


@pytest.mark.parametrize(("module", "op"), CASES, ids=lambda v: str(v))
def test_is_recognised_by_what_it_does(module: nn.Module, op: DropPath) -> None:
    before = dict(module.__dict__), torch.get_rng_state()
    assert drop_path(module) == op
    assert dict(module.__dict__) == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])
    made = check(nn.Sequential(nn.Linear(4, 4), module), (torch.randn(8, 4),))
    assert ops_of(made.graph) == ["nn.linear", "nn.drop_path"]


def test_of_transformers() -> None:
    swin: Any = pytest.importorskip("transformers.models.swin.modeling_swin")
    assert drop_path(swin.SwinDropPath(0.2)) == DropPath(p=0.2, draw="floor")


@pytest.mark.parametrize(
    "module", [OfColumns(0.2), nn.AlphaDropout(0.2), nn.PairwiseDistance(2.0), nn.RReLU()]
)
def test_is_something_else(module: nn.Module) -> None:
    assert drop_path(module) is None

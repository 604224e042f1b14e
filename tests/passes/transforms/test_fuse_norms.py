"""fuse-norms: what it finds, what it leaves alone, and that the numbers stay."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import mase
from mase.ir import Graph
from mase.ir.ops.norm import RmsNorm
from mase.ir.verify import verify


class Rms(nn.Module):
    """A norm written out by a function of the numbers and the weight."""

    def __init__(self, fn: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8))
        self.fn = fn

    def forward(self, x: Tensor) -> Tensor:
        return self.fn(x, self.weight)


def fused(fn: Callable[[Tensor, Tensor], Tensor]) -> Graph:
    model, x = Rms(fn), torch.randn(3, 5, 8)
    graph = mase.Pipeline("fuse-norms").run(mase.trace(model, (x,)))
    assert not verify(graph)
    torch.testing.assert_close(mase.lower(graph)(x), model(x), rtol=1e-6, atol=1e-6)
    return graph


def scaled(x: Tensor, power: float = 2, dim: int = -1) -> Tensor:
    return x * torch.rsqrt(x.pow(power).mean(dim, keepdim=True) + 1e-6)


NORMS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "as llama": lambda x, w: w * scaled(x.to(torch.float32)).to(x.dtype),
    "weight last": lambda x, w: scaled(x) * w,
    "root first": lambda x, w: torch.rsqrt((x * x).mean(2, keepdim=True) + 1e-6) * x * w,
}


@pytest.mark.parametrize("fn", NORMS.values(), ids=NORMS)
def test_found(fn: Callable[[Tensor, Tensor], Tensor]) -> None:
    graph = fused(fn)
    assert [node.op.name for node in graph.nodes] == ["core.input", "nn.rms_norm"]
    (node,) = graph.find(RmsNorm)
    assert node.op == RmsNorm(normalized_shape=(8,), eps=1e-6)
    assert node.params == {"weight": "weight"}


OTHERS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "one plus weight": lambda x, w: scaled(x) * (1 + w),
    "another power": lambda x, w: scaled(x, 4) * w,
    "another dimension": lambda x, w: scaled(x, dim=1) * w,
    "another numerator": lambda x, w: (x + 1) * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * w,
}


@pytest.mark.parametrize("fn", OTHERS.values(), ids=OTHERS)
def test_left_alone(fn: Callable[[Tensor, Tensor], Tensor]) -> None:
    assert not fused(fn).find(RmsNorm)


def test_what_others_use_stays() -> None:
    def both(x: Tensor, w: Tensor) -> Tensor:
        y = scaled(x)
        return y * w + y

    graph = fused(both)
    assert len(graph.find(RmsNorm)) == 1
    assert "aten.rsqrt.default" in mase.dumps(graph)


def test_a_cast_that_changes_the_type_stays() -> None:
    graph = fused(lambda x, w: (x.to(torch.float64) * w).to(torch.float32))
    assert mase.dumps(graph).count("aten.to.dtype") == 2

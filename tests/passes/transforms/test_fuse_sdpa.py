"""fuse-sdpa: what it finds, what it leaves alone, and that the numbers stay but for their last bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import mase
from mase.ir import Graph
from mase.ir.ops.attention import Attention
from mase.ir.verify import verify


class Fn(nn.Module):
    def __init__(self, fn: Callable[..., Any]) -> None:
        super().__init__()
        self.fn, self.dropout = fn, nn.Dropout(0.1)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Any:
        return self.fn(self, q, k, v, mask)


def inputs() -> tuple[Tensor, ...]:
    torch.manual_seed(0)
    return (*(torch.randn(2, 3, 5, 8) for _ in range(3)), torch.randn(2, 1, 5, 5) * 3)


def fused(fn: Callable[..., Any]) -> Graph:
    model = Fn(fn).eval()
    graph = mase.Pipeline("fuse-sdpa").run(mase.trace(model, inputs()))
    assert not verify(graph)
    found, expected = mase.lower(graph).eval()(*inputs()), model(*inputs())
    for a, b in zip(_flat(found), _flat(expected), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    return graph


def _flat(value: Any) -> tuple[Tensor, ...]:
    return value if isinstance(value, tuple) else (value,)


FUSED: dict[str, tuple[Callable[..., Any], Attention]] = {
    "all of it": (
        lambda m, q, k, v, mask: m.dropout((q @ k.transpose(2, 3) * 0.3 + mask).softmax(-1)) @ v,
        Attention(dropout=0.1, scale=0.3),
    ),
    "divided": (
        lambda m, q, k, v, mask: (mask + q @ k.transpose(-1, -2) / 4).softmax(3) @ v,
        Attention(scale=0.25),
    ),
    "no mask": (lambda m, q, k, v, mask: (q @ k.transpose(2, 3) * 0.3).softmax(-1) @ v, Attention(scale=0.3)),
    "bare": (lambda m, q, k, v, mask: (q @ k.transpose(-2, -1)).softmax(-1) @ v, Attention(scale=1.0)),
}


@pytest.mark.parametrize("name", FUSED)
def test_attention(name: str) -> None:
    fn, expected = FUSED[name]
    graph = fused(fn)
    (node,) = graph.find(Attention)
    assert node.op == expected
    assert {n.op.name for n in graph.nodes} == {"core.input", "nn.attention"}


def seen(m: Any, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    weights = (q @ k.transpose(2, 3) * 0.3).softmax(-1)
    return weights @ v, weights


LEFT: dict[str, Callable[..., Any]] = {
    "weights that the caller sees": seen,
    "columns": lambda m, q, k, v, mask: (q @ k.transpose(2, 3)).softmax(-2) @ v,
    "keys as they are": lambda m, q, k, v, mask: (q @ k[..., :8, :].reshape(2, 3, 8, 5)).softmax(-1) @ v,
    "a factor for each": lambda m, q, k, v, mask: (q @ k.transpose(2, 3) * mask).softmax(-1) @ v,
    "the weights on the right": lambda m, q, k, v, mask: v.mT @ (q @ k.transpose(2, 3)).softmax(-1),
    "below zero": lambda m, q, k, v, mask: (q @ k.transpose(2, 3) * -1.0).softmax(-1) @ v,
}


@pytest.mark.parametrize("name", LEFT)
def test_what_is_not_attention_stays(name: str) -> None:
    assert not fused(LEFT[name]).find(Attention)

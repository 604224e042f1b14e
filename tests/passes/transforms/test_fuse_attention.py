"""fuse-attention: what it finds, what it leaves alone, and that the numbers stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import mase
from mase.ir import Graph
from mase.ir.verify import verify
from tests.frontends.checks import ops_of


def rotate(x: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    return torch.cat((-x[..., half:], x[..., :half]), dim=-1)


class Rotary(nn.Module):
    """A function of features and angles."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Any:
        return self.fn(x, cos, sin)


def fused(model: nn.Module, *inputs: Any) -> Graph:
    """The graph after the pass; what it computes is the same to the last bit."""
    graph = mase.trace(model.eval(), inputs)
    before = mase.lower(graph).eval()(*inputs)
    made = mase.Pipeline("fuse-attention").run(graph)
    assert not verify(made)
    after = mase.lower(made).eval()(*inputs)
    for a, b in zip(_flat(after), _flat(before), strict=True):
        assert torch.equal(a, b)
    return made


def _flat(value: Any) -> tuple[Tensor, ...]:
    return value if isinstance(value, tuple) else (value,)


def angles() -> tuple[Tensor, Tensor, Tensor]:
    x, angle = torch.randn(2, 3, 5, 8), torch.randn(5, 8)
    return x, angle.cos(), angle.sin()


def test_a_rotary_embedding() -> None:
    made = fused(Rotary(lambda x, cos, sin: x * cos + rotate(x) * sin), *angles())
    assert ops_of(made) == ["nn.rotary_embedding"]


def test_what_others_use_stays() -> None:
    def fn(x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
        straight = x * cos
        return straight + rotate(x) * sin, straight

    assert ops_of(fused(Rotary(fn), *angles())) == ["tensor.mul", "nn.rotary_embedding"]


@pytest.mark.parametrize(
    "fn",
    [
        lambda x, cos, sin: x * cos - rotate(x) * sin,
        lambda x, cos, sin: x * cos + rotate(-x) * sin,
        lambda x, cos, sin: x * cos + torch.cat((x[..., :4], -x[..., 4:]), -1) * sin,
        lambda x, cos, sin: x * cos + torch.cat((-x[..., 2:], x[..., :2]), -1) * sin,
        lambda x, cos, sin: x * cos + rotate(x + 1) * sin,
        lambda x, cos, sin: x * cos + (rotate(x) + sin),
        lambda x, cos, sin: x * cos + torch.cat((-x[..., 4:], x[..., :4], x[..., :0]), -1) * sin,
    ],
)
def test_what_only_looks_like_one(fn: Callable[..., Tensor]) -> None:
    assert "nn.rotary_embedding" not in ops_of(fused(Rotary(fn), *angles()))


def test_llama() -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=50, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=8, use_cache=False,
    )  # fmt: skip
    model, ids = LlamaForCausalLM(config).eval(), torch.randint(0, 50, (2, 5))
    graph = mase.trace(model, (ids,))
    made = mase.Pipeline("fuse-attention").run(graph.copy())
    assert ops_of(made).count("nn.rotary_embedding") == 4
    assert "aten.neg.default" not in ops_of(made)
    assert torch.equal(mase.lower(made)(ids).logits, model(ids).logits)
    quantize = 'quantize{default={} rules=[{op="rotary_embedding", data_in="mxint<8,8>"}]}'
    quantized = mase.Pipeline(quantize).run(made)
    assert ops_of(quantized).count("mase.rotary_embedding_mxint") == 4
    assert (mase.lower(quantized)(ids).logits - model(ids).logits).abs().max() < 0.05


class Decoder(nn.Module):
    """One step of attention with what came before."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(8, 24)

    def forward(self, x: Tensor, past: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = self.project(x).chunk(3, -1)
        k, v = torch.cat((past[0], k), -2), torch.cat((past[1], v), dim=1)
        return nn.functional.scaled_dot_product_attention(q, k, v), k, v


def test_a_cache_is_an_input_that_grows() -> None:
    past = torch.randn(2, 4, 8), torch.randn(2, 4, 8)
    made = fused(Decoder(), torch.randn(2, 1, 8), past)
    assert ops_of(made).count("nn.kv_cache") == 2
    rule = '{op="kv_cache", data_in="int<4,token>"}'
    quantized = mase.Pipeline(f"quantize{{default={{}} rules=[{rule}]}}").run(made)
    x = torch.randn(2, 1, 8)
    _, key, _ = mase.lower(quantized)(x, past)
    assert torch.equal(key[:, :4], mase.quantize(past[0], "int<4,token>"))
    again = mase.lower(quantized)(x, (key[:, :4], past[1]))[1]
    assert torch.allclose(again, key)  # what was read is what stays in the cache


@pytest.mark.parametrize(
    "fn",
    [
        lambda x, past, _: torch.cat((past, x.exp()), 0),
        lambda x, past, _: torch.cat((past, x), -2),  # both come from outside
        lambda x, past, _: torch.cat((x.exp(), past), -2),
        lambda x, past, _: torch.cat((past, x.exp()), -2).sum(-1),  # it does not come back
    ],
)
def test_other_joins_are_no_caches(fn: Callable[..., Tensor]) -> None:
    made = fused(Rotary(fn), *(torch.randn(2, 3, 4) for _ in range(3)))
    assert "tensor.concat" in ops_of(made)

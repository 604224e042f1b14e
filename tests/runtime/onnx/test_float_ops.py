"""Every float op: its ONNX form in onnxruntime beside the module that it was captured from."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.runtime.onnx.cases import LAYERS, Of, seeded
from tests.runtime.onnx.running import float_difference

ACTIVATIONS = [
    nn.ReLU(), nn.ReLU6(), nn.LeakyReLU(0.2), nn.ELU(0.7), nn.SELU(), nn.Hardtanh(-0.5, 0.7),
    nn.Hardsigmoid(), nn.Hardswish(), nn.GELU(), nn.GELU(approximate="tanh"), nn.SiLU(), nn.Tanh(),
    nn.Sigmoid(), nn.Softplus(),
    nn.Softplus(2.0, 1.0), nn.Softsign(), nn.Softmax(-1), nn.Softmax(1), nn.LogSoftmax(-1), nn.Identity(),
    nn.Dropout(),
]  # fmt: skip


@pytest.mark.parametrize("net", ACTIVATIONS, ids=lambda net: str(net))
def test_activations(net: nn.Module) -> None:
    assert float_difference(nn.Sequential(net, nn.Tanh()), 3 * seeded(4, 3, 5)) < 1e-5


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str) -> None:
    net, shape = LAYERS[name]
    assert float_difference(net, seeded(*shape)) < 1e-5


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "add": lambda x: x + 2 * x.transpose(1, 2),
    "sub": lambda x: x - 1.5 + (3 - x),
    "div": lambda x: x / (x.abs() + 1),
    "matmul": lambda x: x @ x.transpose(-1, -2),
    "mean": lambda x: x.mean((1, 2), keepdim=True) + x.mean(-1, keepdim=True),
    "concat": lambda x: torch.cat((x, x * x), 1),
    "stack": lambda x: torch.stack((x, -x), 1),
    "permute": lambda x: x.permute(2, 0, 1) * 2,
    "slices": lambda x: x[:, 1:, ::2] + x[:, :-1, :2],
    "select": lambda x: x[:, 0] + x[:, -1],
    "view": lambda x: x.view(x.shape[0], -1).sin(),
    "reshape back": lambda x: x.reshape(-1, 3).cos().reshape(x.shape),
    "squeeze": lambda x: x.unsqueeze(1).exp().squeeze(1),
    "expand": lambda x: x[:, :1].expand(-1, 4, -1) + 0,
    "repeat": lambda x: x.repeat(1, 2, 1).abs(),
    "roll": lambda x: x.roll((1, -1), (1, 2)),
    "split": lambda x: torch.cat(x.split((1, 2), 1)[::-1], 1),
    "chunk": lambda x: x.chunk(3, -1)[1].tanh(),
    "unbind": lambda x: x.unbind(1)[2].sigmoid(),
    "where": lambda x: torch.where(x > 0, x, -2.0),
    "masked fill": lambda x: x.masked_fill((x < 0) | (x > 1), 0.5),
    "clamp": lambda x: x.clamp(-0.5, 0.7) + x.clamp(min=0),
    "pow": lambda x: x.pow(2) + x.abs().sqrt() + (x * x + 1).rsqrt(),
    "reductions": lambda x: x.sum(1) + x.amax(1) - x.amin(1),
    "argument of integers": lambda x: x + torch.arange(x.shape[2]),
    "new tensors": lambda x: x + torch.ones(3, 1) + x.new_zeros(3) + torch.full((1,), 0.5),
    "comparisons": lambda x: ((x >= 0) & (x != 1)).float() + (x <= 0.5).to(torch.float32),
    "logical": lambda x: torch.logical_not(torch.logical_or(x > 1, x < -1)).float(),
    "cumsum": lambda x: x.cumsum(1),
    "index": lambda x: x[:, torch.tensor([2, 0, 1])] * 1.5,
    "index select": lambda x: x.index_select(2, torch.tensor([2, 0])).neg(),
    "gather": lambda x: x.gather(2, torch.zeros(4, 3, 2, dtype=torch.int64)),
    "softmax": lambda x: F.softmax(x, 1) + F.log_softmax(x, -1),
    "attention": lambda x: F.scaled_dot_product_attention(x, x * 2, x + 1),
    "causal attention": lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True),
    "masked attention": lambda x: F.scaled_dot_product_attention(x, x, x, attn_mask=(x @ x.mT) > 0),
    "erf, by PyTorch's exporter": lambda x: torch.special.erfc(x) + torch.logaddexp(x, -x),
    "einsum": lambda x: torch.einsum("nij,nkj->nik", x, x),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str) -> None:
    assert float_difference(Of(FUNCTIONS[name]), seeded(4, 3, 3)) < 1e-5

"""Small models, one for each form that hls4ml compiles or refuses, and what they are quantized to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import mase
from mase.ir import Graph

__all__ = ["FORMATS", "MODELS", "Convolutional", "Model", "mlp", "quantized"]

FORMATS = 'quantize{default={data_in="fixed<8,4>",weight="fixed<6,4>"}}'


class Convolutional(nn.Module):
    """A residual block, a depthwise convolution, a max-pool and a head."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.side = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 1)
        self.depthwise, self.pool = nn.Conv2d(4, 4, 3, stride=2, padding=1, groups=4), nn.MaxPool2d(2)
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x))
        x = torch.relu(self.depthwise(x + torch.relu(self.side(x))))
        return self.head(torch.flatten(self.pool(x), 1))


class Written(nn.Module):
    """Layers ``a``, ``b``, ``c`` and a function of them."""

    def __init__(self, forward: Callable[[Any, Tensor], Tensor], **layers: nn.Module) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)
        self._forward = forward

    def forward(self, x: Tensor) -> Tensor:
        return self._forward(self, x)


def mlp() -> nn.Module:
    """Two linear layers."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 5))


def quantized(net: nn.Module, x: Tensor, formats: str = FORMATS) -> Graph:
    """The graph of a model at level ``quantized``."""
    graph = mase.trace(net.eval(), (x,))
    mase.Pipeline(formats).run(graph)
    return graph


@dataclass(frozen=True)
class Model:
    """A model: how it is made, the shape of a sample, what it is quantized to."""

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    formats: str = FORMATS

    def graph(self) -> Graph:
        torch.manual_seed(0)
        return quantized(self.make(), torch.randn(2, *self.shape), self.formats)


def _with(rules: str, default: str = 'data_in="fixed<8,4>",weight="fixed<6,4>"') -> str:
    return f"quantize{{default={{{default}}},rules=[{rules}]}}"


def _norm(layer: nn.BatchNorm1d | nn.BatchNorm2d) -> nn.Module:
    assert layer.running_mean is not None
    assert layer.running_var is not None
    layer.running_mean.normal_()
    layer.running_var.uniform_(0.5, 2)
    nn.init.uniform_(layer.weight, 0.5, 1.5)
    nn.init.normal_(layer.bias)
    return layer


_MIXED = _with(
    '{scope="b",data_in="fixed<4,1,half_up>",weight="fixed<3,2,narrow>"},'
    '{scope="c",data_in="fixed<4,2,narrow,floor>",weight="fixed<12,10>"}',
    'data_in="fixed<8,4>",weight="fixed<6,4>",bias="fixed<9,9>"',
)
_TABLES = _with(
    '{op="nn.sigmoid",data_in="fixed<8,4>",data_out="ufixed<8,8>"},'
    '{op="nn.tanh",data_in="fixed<7,4>",data_out="fixed<8,7>"}'
)
_UNLIKE = _with(
    '{op="tensor.mul",data_in="fixed<8,2>",other="fixed<6,5>"},'
    '{op="tensor.sub",data_in="fixed<8,6>",other="fixed<8,1>"}'
)

MODELS: dict[str, Model] = {
    "formats of each layer": Model(
        lambda: Written(
            lambda m, x: m.c(torch.relu(m.b(torch.relu(m.a(x))))),
            a=nn.Linear(16, 12), b=nn.Linear(12, 10), c=nn.Linear(10, 6),
        ),
        (16,), _MIXED,
    ),
    "functions": Model(
        lambda: Written(
            lambda m, x: m.c(torch.cat([torch.sigmoid(m.a(x)), torch.tanh(m.b(x)), F.gelu(m.a(x))], 1)),
            a=nn.Linear(8, 6), b=nn.Linear(8, 6), c=nn.Linear(18, 5),
        ),
        (8,), _TABLES,
    ),
    "sequence": Model(
        lambda: Written(lambda m, x: m.b(torch.relu(m.a(x))), a=nn.Linear(6, 8), b=nn.Linear(8, 5)), (4, 6)
    ),
    "mean of a sequence": Model(
        lambda: Written(lambda m, x: m.b(torch.relu(m.a(x)).mean(1)), a=nn.Linear(6, 8), b=nn.Linear(8, 5)),
        (4, 6),
    ),
    "mixed tokens": Model(
        lambda: Written(
            lambda m, x: m.c(torch.relu(m.b(torch.relu(m.a(x)).transpose(1, 2))).transpose(1, 2)),
            a=nn.Linear(6, 8),
            b=nn.Linear(4, 7),
            c=nn.Linear(8, 5),
        ),
        (4, 6),
    ),
    "average pool": Model(
        lambda: Written(
            lambda m, x: m.b(F.avg_pool2d(torch.relu(m.a(x)), 3, 2, padding=1).flatten(1)),
            a=nn.Conv2d(2, 3, 3), b=nn.Linear(27, 5),
        ),
        (2, 8, 8),
    ),
    "global pool": Model(
        lambda: Written(
            lambda m, x: m.b(F.adaptive_avg_pool2d(torch.relu(m.a(x)), 1).flatten(1)),
            a=nn.Conv2d(2, 3, 3), b=nn.Linear(3, 5),
        ),
        (2, 8, 8),
    ),
    "mean of an image": Model(
        lambda: Written(
            lambda m, x: m.c(torch.relu(m.b(torch.relu(m.a(x)))).mean((2, 3))),
            a=nn.Conv2d(2, 4, 3),
            b=nn.Conv2d(4, 4, 3, groups=4),
            c=nn.Linear(4, 5),
        ),
        (2, 8, 8),
    ),
    "padding": Model(
        lambda: Written(
            lambda m, x: m.a(F.pad(m.b(x), (1, 2, 0, 1))), a=nn.Conv2d(3, 3, 3), b=nn.Conv2d(2, 3, 1)
        ),
        (2, 5, 5),
    ),
    "concatenation": Model(
        lambda: Written(
            lambda m, x: m.c(torch.cat([m.a(x), m.b(x)], 1)),
            a=nn.Conv2d(2, 3, 3, padding=1), b=nn.Conv2d(2, 2, 1), c=nn.Conv2d(5, 3, 3),
        ),
        (2, 5, 5),
    ),
    "unlike scales": Model(
        lambda: Written(
            lambda m, x: m.c(m.a(x) - m.b(x) * x), a=nn.Linear(6, 6), b=nn.Linear(6, 6), c=nn.Linear(6, 5)
        ),
        (6,), _UNLIKE,
    ),
    "batch norm of images": Model(
        lambda: Written(
            lambda m, x: m.c(torch.relu(m.b(m.a(x))).flatten(1)),
            a=nn.Conv2d(2, 3, 3), b=_norm(nn.BatchNorm2d(3)), c=nn.Linear(27, 5),
        ),
        (2, 5, 5),
    ),
    "batch norm of vectors": Model(
        lambda: Written(
            lambda m, x: m.c(torch.relu(m.b(m.a(x)))),
            a=nn.Linear(6, 8), b=_norm(nn.BatchNorm1d(8)), c=nn.Linear(8, 5),
        ),
        (6,),
    ),
    "dilation and groups": Model(
        lambda: Written(
            lambda m, x: m.b(torch.relu(m.a(x))),
            a=nn.Conv2d(2, 4, 3, dilation=2, padding=2, stride=2),
            b=nn.Conv2d(4, 6, 3, groups=2, padding=(1, 0)),
        ),
        (2, 7, 7),
    ),
    "convolution over time": Model(
        lambda: Written(
            lambda m, x: m.c(F.max_pool1d(torch.relu(m.b(torch.relu(m.a(x)))), 2).flatten(1)),
            a=nn.Conv1d(2, 4, 3, padding=1), b=nn.Conv1d(4, 8, 3, groups=4), c=nn.Linear(24, 5),
        ),
        (2, 8),
    ),
    "padded max-pool": Model(
        lambda: Written(
            lambda m, x: m.b(F.max_pool2d(torch.relu(m.a(x)), 3, 2, 1).flatten(1)),
            a=nn.Conv2d(2, 3, 3), b=nn.Linear(27, 5),
        ),
        (2, 8, 8),
    ),
    "image out": Model(
        lambda: Written(
            lambda m, x: F.max_pool2d(torch.relu(m.a(x)), 2), a=nn.Conv2d(2, 3, 3, padding=1)
        ),
        (2, 6, 6),
    ),
    "channels last": Model(
        lambda: Written(
            lambda m, x: m.b(torch.relu(m.a(x)).permute(0, 2, 3, 1)),
            a=nn.Conv2d(2, 4, 2, stride=2), b=nn.Linear(4, 5),
        ),
        (2, 6, 6),
    ),
    "input in two formats": Model(
        lambda: Written(lambda m, x: m.a(x) + m.b(x), a=nn.Linear(6, 5), b=nn.Linear(6, 5)),
        (6,), _with('{scope="b",data_in="fixed<6,2>"}'),
    ),
}  # fmt: skip
"""What is exact, by what it shows."""

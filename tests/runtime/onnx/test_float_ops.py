"""Every float op: its ONNX form in onnxruntime beside the module that it was captured from."""

from __future__ import annotations

import pytest
from torch import nn

from tests.runtime.onnx.cases import FUNCTIONS, LAYERS, Of, seeded
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


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str) -> None:
    assert float_difference(Of(FUNCTIONS[name]), seeded(4, 3, 3)) < 1e-5

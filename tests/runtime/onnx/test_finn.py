"""``rounding = "half_up"`` is what FINN computes, whose thresholds round so whatever a file says.

finn-plus pins other versions of onnx and numpy than mase, so no extra has it: install it by hand to run this.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import mase
from mase.frontends.zoo import find_model, load_pretrained
from mase.runtime.onnx import QonnxQuantizers, print_graph
from mase.runtime.onnx.saving import infer_shapes
from mase.runtime.verification import expected_values, vectors_for
from mase.runtime.verification.models import fixed_sizes
from tests.runtime.onnx.cases import mlp

reason = "finn-plus is not installed"
conversion: Any = pytest.importorskip("finn.transformation.qonnx.convert_qonnx_to_finn", reason=reason)
streamline: Any = pytest.importorskip("finn.transformation.streamline", reason=reason)
pytestmark = pytest.mark.slow

UNSIGNED = 'default={data_in="ufixed<8,4>",weight="fixed<6,4>"},rules=[{op="nn.relu",skip=true}]'
SIGNED = 'default={data_in="fixed<4,2>",weight="fixed<4,3>"}'
IMAGES = (
    'default={data_in="ufixed<4,2>",weight="fixed<4,4>"},'
    'rules=[{op="nn.relu",skip=true},{op="nn.max_pool2d",skip=true}]'
)


def without_relus() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 32), nn.Linear(32, 16))


def digits() -> nn.Module:
    model = find_model("digits-cnn")()
    load_pretrained("digits-cnn", model)
    return model


def differing(net: nn.Module, shape: tuple[int, ...], options: str, streamlined: bool) -> float:
    """Which share of the outputs FINN computes otherwise, and that no quantizer but weights' is left."""
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.util.cleanup import cleanup_model

    graph = mase.trace(net.eval(), (torch.zeros(2, *shape),))
    mase.Pipeline(f"fold-batchnorm,quantize{{{options}}}").run(graph)
    inputs = vectors_for(graph, 500)
    (expected,) = expected_values(graph, inputs).outputs.values()
    (x,) = (tensor.numpy() for tensor in inputs.values())
    model = print_graph(graph, QonnxQuantizers(), "qonnx")
    infer_shapes(model)
    made = cleanup_model(ModelWrapper(fixed_sizes(model, {graph.inputs[0].name: x})))
    made = made.transform(conversion.ConvertQONNXtoFINN())
    assert Counter(n.op_type for n in made.graph.node)["MultiThreshold"] >= 2
    if streamlined:
        made = made.transform(streamline.Streamline())
    (found,) = execute_onnx(made, {made.graph.input[0].name: x}).values()
    return float(np.mean(found != expected))


@pytest.mark.parametrize("streamlined", [False, True], ids=["converted", "streamlined"])
@pytest.mark.parametrize(("net", "options"), [(mlp, UNSIGNED), (without_relus, SIGNED)])
def test_perceptron_is_exact(net: Callable[[], nn.Module], options: str, streamlined: bool) -> None:
    assert differing(net(), (16,), f'{options},rounding="half_up"', streamlined) == 0


def test_convolutions_are_exact() -> None:
    assert differing(digits(), (1, 8, 8), f'{IMAGES},rounding="half_up"', streamlined=False) == 0


@pytest.mark.parametrize(("net", "options"), [(mlp, UNSIGNED), (without_relus, SIGNED)])
def test_half_to_even_is_not(net: Callable[[], nn.Module], options: str) -> None:
    """The vectors show it, so that a file that rounds as mase does by default is known not to fit."""
    assert differing(net(), (16,), options, streamlined=False) > 0.01

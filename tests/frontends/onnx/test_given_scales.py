"""Weights of other tools on scales of their own: neither those of their range nor without zero points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

import mase
from mase.frontends.onnx.reader import read_onnx
from mase.ir import Graph, MaseError
from mase.passes import Pipeline
from tests.runtime.onnx.running import integer_mismatches, run

RNG = np.random.default_rng


def model_of(
    nodes: list[Any], tensors: dict[str, NDArray[Any]], shape: list[Any], *, opset: int = 21
) -> onnx.ModelProto:
    """A model from ``x`` to ``y``."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    made = [numpy_helper.from_array(array, name) for name, array in tensors.items()]
    graph = helper.make_graph(nodes, "other", [x], [y], made)
    domains = [helper.make_opsetid("", opset), helper.make_opsetid("qonnx.custom_op.general", 1)]
    return helper.make_model(graph, opset_imports=domains, ir_version=10)


def read(model: onnx.ModelProto, folder: Path) -> Graph:
    onnx.save(model, folder / "model.onnx")
    return read_onnx(folder / "model.onnx")


def outputs(graph: Graph, x: NDArray[np.float32]) -> NDArray[np.float32]:
    with torch.no_grad():
        return mase.lower(graph).eval()(torch.from_numpy(x)).numpy()


def weights(graph: Graph) -> dict[str, str]:
    """The format of each layer's weight."""
    return {n.op.base.name: str(n.op.formats["weight"]) for n in graph.nodes if "weight" in n.params}  # type: ignore[attr-defined]


def convolution(zero: NDArray[Any]) -> tuple[onnx.ModelProto, NDArray[np.float32]]:
    """QDQ as compilers write it: a scale for each channel that its codes do not reach, and an int32 bias."""
    rng = RNG(0)
    code = zero.dtype
    low = int(np.iinfo(code).min)
    scale = rng.uniform(0.01, 0.03, 4).astype(np.float32)
    tensors = {
        "x_scale": np.float32(0.02) * np.ones((), np.float32),
        "x_zero": np.uint8(131) * np.ones((), np.uint8),
        "codes": rng.integers(low + 20, low + 200, (4, 2, 3, 3)).astype(code),
        "scale": scale,
        "zero": zero,
        "bias": rng.integers(-999, 999, 4).astype(np.int32),
        "bias_scale": (scale * np.float32(0.02)).astype(np.float32),
        "bias_zero": np.zeros(4, np.int32),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "x_scale", "x_zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "x_scale", "x_zero"], ["d"]),
        helper.make_node("DequantizeLinear", ["codes", "scale", "zero"], ["w"], axis=0),
        helper.make_node("DequantizeLinear", ["bias", "bias_scale", "bias_zero"], ["b"], axis=0),
        helper.make_node("Conv", ["d", "w", "b"], ["y"]),
    ]
    return model_of(nodes, tensors, ["N", 2, 8, 8]), rng.normal(size=(8, 2, 8, 8)).astype(np.float32)


@pytest.mark.parametrize(
    ("zero", "weight"),
    [
        (np.zeros(4, np.int8), "int<8,channel=0>"),
        (np.array([3, 0, -7, 1], np.int8), "uint<8,asym,channel=0>"),
        (np.array([120, 128, 131, 90], np.uint8), "uint<8,asym,channel=0>"),
        (np.full(4, 128, np.uint8), "int<8,channel=0>"),
    ],
)
def test_scales_and_zero_points_are_kept(tmp_path: Path, zero: NDArray[Any], weight: str) -> None:
    model, x = convolution(zero)
    graph = read(model, tmp_path)
    assert weights(graph) == {"nn.conv2d": weight}
    expected = run(model, {"x": x}, optimise=False)[0]
    np.testing.assert_allclose(outputs(graph, x), expected, rtol=1e-5, atol=1e-5)
    assert mase.loads(mase.dumps(graph)) == graph


def test_what_is_read_becomes_integers(tmp_path: Path) -> None:
    model, x = convolution(np.array([3, 0, -7, 1], np.int8))
    graph = read(model, tmp_path)
    Pipeline("legalize-casts").run(graph)
    assert integer_mismatches(graph, torch.from_numpy(x), reference=False) == 0
    expected = run(model, {"x": x}, optimise=False)[0]
    np.testing.assert_allclose(outputs(graph, x), expected, rtol=1e-5, atol=1e-5)


def test_a_transposed_weight_keeps_its_grid(tmp_path: Path) -> None:
    rng = RNG(1)
    tensors = {
        "codes": rng.integers(-90, 90, (5, 16)).astype(np.int8),
        "scale": rng.uniform(0.01, 0.03, 5).astype(np.float32),
        "x_scale": np.array(0.02, np.float32),
        "x_zero": np.array(0, np.int8),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "x_scale", "x_zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "x_scale", "x_zero"], ["d"]),
        helper.make_node("DequantizeLinear", ["codes", "scale"], ["w"], axis=0),
        helper.make_node("Transpose", ["w"], ["t"], perm=[1, 0]),
        helper.make_node("MatMul", ["d", "t"], ["y"]),
    ]
    model, x = model_of(nodes, tensors, ["N", 16]), rng.normal(size=(8, 16)).astype(np.float32)
    graph = read(model, tmp_path)
    assert weights(graph) == {"nn.linear": "int<8,channel=0>"}
    np.testing.assert_allclose(outputs(graph, x), run(model, {"x": x}, optimise=False)[0], atol=1e-5)


@pytest.mark.parametrize("symmetric", [True, False])
def test_onnxruntimes_own_quantization_is_read(tmp_path: Path, symmetric: bool) -> None:
    """quantize_static gives a scale to each channel, and zero points where weights are not symmetric."""
    tool = pytest.importorskip("onnxruntime.quantization")
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5)).eval()
    x = torch.randn(16, 2, 8, 8)
    float_graph = mase.trace(net, (x,))
    Pipeline('export{format="float" path="' + str(tmp_path / "float.onnx") + '"}').run(float_graph)
    name = onnx.load(tmp_path / "float.onnx").graph.input[0].name

    class Reader(tool.CalibrationDataReader):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self.left = [{name: x.numpy()}]

        def get_next(self) -> Any:
            return self.left.pop() if self.left else None

    tool.quantize_static(
        tmp_path / "float.onnx",
        tmp_path / "static.onnx",
        Reader(),
        per_channel=True,
        activation_type=tool.QuantType.QUInt8,
        weight_type=tool.QuantType.QInt8 if symmetric else tool.QuantType.QUInt8,
        extra_options={"WeightSymmetric": symmetric},
    )
    graph = read_onnx(tmp_path / "static.onnx")
    assert set(weights(graph).values()) <= {"int<8,channel=0>", "uint<8,asym,channel=0>"}
    found, expected = (
        outputs(graph, x.numpy()),
        run(onnx.load(tmp_path / "static.onnx"), {name: x.numpy()})[0],
    )
    step = np.abs(expected).max() / 100  # outputs are quantized too: some may lie a step apart
    assert (np.abs(found - expected) > 1e-4).mean() < 0.05
    assert np.abs(found - expected).max() < step


def quant(name: str, mode: str = "ROUND", narrow: int = 0) -> Any:
    return helper.make_node(
        "Quant",
        [name, f"{name}_scale", f"{name}_zero", f"{name}_bits"],
        [f"{name}_q"],
        domain="qonnx.custom_op.general",
        rounding_mode=mode,
        narrow=narrow,
        signed=1,
    )


@pytest.mark.parametrize("mode", ["ROUND", "FLOOR", "CEIL", "UP", "DOWN", "HALF_UP", "HALF_DOWN"])
@pytest.mark.parametrize("scale", [0.11, 0.125])
def test_weights_of_qonnx_are_rounded_as_it_says(tmp_path: Path, mode: str, scale: float) -> None:
    """A file of QONNX has the weights in float; qonnx itself is the oracle."""
    qonnx = pytest.importorskip("qonnx.core.onnx_exec")
    wrapper = pytest.importorskip("qonnx.core.modelwrapper")
    shapes = pytest.importorskip("qonnx.transformation.infer_shapes")
    rng = RNG(2)
    channels = (np.full((1, 5), scale) * [1, 1, 0.9, 1.3, 0.7] if scale == 0.11 else np.array(scale)).astype(
        np.float32
    )
    weight = (rng.integers(-20, 20, (16, 5)) * channels / 2).astype(np.float32)  # half of them ties
    tensors = {"w": weight, "w_scale": channels, "x_scale": np.array(0.03, np.float32)}
    for name, bits in (("w", 4), ("x", 8)):
        tensors |= {f"{name}_zero": np.array(0, np.float32), f"{name}_bits": np.array(bits, np.float32)}
    nodes = [quant("x"), quant("w", mode), helper.make_node("MatMul", ["x_q", "w_q"], ["y"])]
    model, x = model_of(nodes, tensors, [8, 16], opset=18), rng.normal(size=(8, 16)).astype(np.float32)
    graph = read(model, tmp_path)
    assert weights(graph) == {"nn.linear": "fixed<4,3>" if scale == 0.125 else "int<4,channel=0>"}
    shaped = wrapper.ModelWrapper(model).transform(shapes.InferShapes())
    expected = qonnx.execute_onnx(shaped, {"x": x})["y"]
    np.testing.assert_allclose(outputs(graph, x), expected, atol=1e-5)


def test_one_signed_bit_is_refused(tmp_path: Path) -> None:
    tensors = {"w": np.ones((2, 2), np.float32), "w_scale": np.ones((), np.float32)}
    tensors |= {"w_zero": np.zeros((), np.float32), "w_bits": np.ones((), np.float32)}
    nodes = [quant("w"), helper.make_node("MatMul", ["x", "w_q"], ["y"])]
    with pytest.raises(MaseError, match="one signed bit"):
        read(model_of(nodes, tensors, [2, 2]), tmp_path)

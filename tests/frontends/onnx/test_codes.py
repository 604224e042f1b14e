"""Models whose operators take codes: QOperator files, dynamic quantization, codes anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, TensorProto, helper
from onnx.numpy_helper import from_array
from onnx.reference import ReferenceEvaluator
from torch import Tensor, nn

import mase
from mase.frontends.onnx.reader import read_onnx
from mase.ir import Graph
from mase.ir.ops.quantized import QuantizedOp
from tests.runtime.onnx.running import ties

quantization = pytest.importorskip("onnxruntime.quantization")


def model_of(
    nodes: list[onnx.NodeProto],
    constants: dict[str, Any],
    result: tuple[int, list[Any]],
    shape: list[Any] | None = None,
) -> ModelProto:
    """A file from ``x`` to ``y``."""
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape or ["N", 6])
    taken = helper.make_tensor_value_info("y", *result)
    initializers = [from_array(np.asarray(v), k) for k, v in constants.items()]
    graph = helper.make_graph(nodes, "codes", [given], [taken], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def read(model: ModelProto, folder: Path) -> Graph:
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, folder / "model.onnx")
    graph = read_onnx(folder / "model.onnx")
    mase.Pipeline("").run(graph)  # which verifies it
    return mase.loads(mase.dumps(graph)) and graph


def same(model: ModelProto, graph: Graph, x: Tensor) -> None:
    """The graph gives what ONNX's reference gives, to the last bit."""
    [expected] = ReferenceEvaluator(model).run(None, {"x": x.numpy()})
    with torch.no_grad():
        assert np.array_equal(mase.lower(graph).eval()(x).numpy(), expected)


class Numbers(quantization.CalibrationDataReader):
    """A few batches to calibrate on."""

    def __init__(self, *shape: int) -> None:
        torch.manual_seed(1)
        self._batches = iter([{"x": torch.randn(*shape).numpy()} for _ in range(4)])

    def get_next(self) -> Any:
        return next(self._batches, None)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.head = nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.max_pool2d(self.first(x).relu(), 2)
        x = nn.functional.avg_pool2d(x + self.second(x).sigmoid(), 2)
        return self.head(torch.cat((x, x * x), 1).flatten(1))


@pytest.fixture(scope="module")
def float_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("float") / "net.onnx"
    graph = mase.trace(Net().eval(), (torch.randn(2, 1, 8, 8),))
    mase.Pipeline(f"export{{format='float',path='{file}'}}").run(graph)
    return file


@pytest.mark.parametrize("per_channel", [False, True])
def test_files_of_operators_on_codes(float_file: Path, tmp_path: Path, per_channel: bool) -> None:
    """What onnxruntime's ``quantize_static`` writes: QLinearConv, QLinearAdd, QGemm, ..."""
    import onnxruntime as ort

    file = tmp_path / "quantized.onnx"
    quantization.quantize_static(
        *(float_file, file, Numbers(2, 1, 8, 8)),
        quant_format=quantization.QuantFormat.QOperator,
        activation_type=quantization.QuantType.QUInt8,
        per_channel=per_channel,
        reduce_range=True,  # without it CPUs without VNNI saturate sums of two products
    )
    kinds = {node.op_type for node in onnx.load(file).graph.node}
    assert {"QLinearConv", "QLinearAdd", "QLinearMul", "QLinearSigmoid", "QLinearConcat", "QGemm"} <= kinds
    graph = read_onnx(file)
    assert graph.level == "quantized"
    assert len(graph.find(QuantizedOp)) >= 7
    session = ort.InferenceSession(file)
    x = torch.randn(64, 1, 8, 8)
    [expected] = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    with torch.no_grad():
        found = mase.lower(graph).eval()(x).numpy()
    assert np.array_equal(found, expected)


def test_operators_on_codes_are_those_of_the_standard(tmp_path: Path) -> None:
    """QLinearMatMul with a scale for each column; what moves codes keeps them codes."""
    torch.manual_seed(0)
    scales = np.array([2**-7, 2**-6, 2**-8, 2**-7], np.float32)
    constants = {
        "s": np.float32(2**-4), "z": np.uint8(120), "w": np.random.default_rng(0).integers(-128, 128, (6, 4)),
        "ws": scales, "wz": np.zeros(4, np.int8), "ys": np.float32(2**-3), "yz": np.uint8(99),
    }  # fmt: skip
    constants["w"] = constants["w"].astype(np.int8)
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("QLinearMatMul", ["q", "s", "z", "w", "ws", "wz", "ys", "yz"], ["p"]),
        helper.make_node("Transpose", ["p"], ["t"], perm=[1, 0]),
        helper.make_node("DequantizeLinear", ["t", "ys", "yz"], ["y"]),
    ]
    model = model_of(nodes, constants, (TensorProto.FLOAT, [4, "N"]))
    graph = read(model, tmp_path)
    assert graph.find(QuantizedOp)[0].op.name == "mase.linear_scale_integer"
    same(model, graph, ties(40, 6))


def test_dynamic_quantization(tmp_path: Path) -> None:
    """What ``quantize_dynamic`` writes: the scale of each batch is computed."""
    rng = np.random.default_rng(0)
    constants = {
        "w": rng.integers(-128, 128, (6, 4)).astype(np.int8), "wz": np.array([0, 3, -2, 7], np.int8),
        "ws": rng.random(4).astype(np.float32), "b": rng.random(4).astype(np.float32),
    }  # fmt: skip
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        helper.make_node("MatMulInteger", ["q", "w", "z", "wz"], ["i"]),
        helper.make_node("Cast", ["i"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["s", "ws"], ["sw"]),
        helper.make_node("Mul", ["f", "sw"], ["m"]),
        helper.make_node("Add", ["m", "b"], ["y"]),
    ]
    model = model_of(nodes, constants, (TensorProto.FLOAT, ["N", 4]))
    graph = read(model, tmp_path)
    for x in (torch.randn(30, 6), torch.rand(30, 6) + 1, -torch.rand(30, 6), torch.zeros(2, 6)):
        same(model, graph, x)


def test_joined_values_keep_their_own_scales(tmp_path: Path) -> None:
    constants = {"s": np.float32(0.1), "s2": np.float32(0.3), "z": np.uint8(7)}
    nodes = [
        *(helper.make_node("QuantizeLinear", ["x", s, "z"], [f"q{s}"]) for s in ("s", "s2")),
        *(helper.make_node("DequantizeLinear", [f"q{s}", s, "z"], [f"d{s}"]) for s in ("s", "s2")),
        helper.make_node("Concat", ["ds", "ds2"], ["y"], axis=1),
    ]
    model = model_of(nodes, constants, (TensorProto.FLOAT, ["N", 12]))
    same(model, read(model, tmp_path), torch.randn(30, 6) * 10)


CODES: dict[str, tuple[list[onnx.NodeProto], int, list[Any]]] = {
    "a result": ([helper.make_node("QuantizeLinear", ["x", "s", "z"], ["y"])], TensorProto.UINT8, ["N", 6]),
    "an operand of a product": (
        [
            helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
            helper.make_node("MatMulInteger", ["q", "w", "z"], ["y"]),
        ],
        TensorProto.INT32,
        ["N", 4],
    ),
    "joined": (
        [
            helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
            helper.make_node("QuantizeLinear", ["x", "s2", "z"], ["r"]),
            helper.make_node("Concat", ["q", "r"], ["c"], axis=1),
            helper.make_node("DequantizeLinear", ["c", "s2", "z"], ["y"]),
        ],
        TensorProto.FLOAT,
        ["N", 12],
    ),
    "read by another scale": (
        [
            helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "s2", "z"], ["y"]),
        ],
        TensorProto.FLOAT,
        ["N", 6],
    ),
}


@pytest.mark.parametrize("name", CODES)
def test_codes_that_no_rule_keeps_on_a_grid(tmp_path: Path, name: str) -> None:
    nodes, kind, shape = CODES[name]
    constants = {
        "s": np.float32(0.1), "s2": np.float32(0.3), "z": np.uint8(7),
        "w": np.arange(24, dtype=np.int8).reshape(6, 4),
    }  # fmt: skip
    used = {i for node in nodes for i in node.input}
    model = model_of(nodes, {k: v for k, v in constants.items() if k in used}, (kind, shape))
    same(model, read(model, tmp_path), torch.randn(30, 6) * 10)

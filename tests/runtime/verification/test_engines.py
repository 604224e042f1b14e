"""Engines give what ONNX says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from mase.runtime.verification import ENGINES, Expected, check_file


@pytest.mark.parametrize("engine", ["onnx reference", "onnxruntime"])
def test_more_elements_are_gathered_than_numpy_chooses_from(tmp_path: Path, engine: str) -> None:
    """The reference of ONNX itself ends at 64 numbers; position ids have hundreds."""
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 200]),
        helper.make_tensor_value_info("at", TensorProto.INT64, [2, 3]),
    ]
    node = helper.make_node("GatherElements", ["x", "at"], ["y"], axis=1)
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 3])
    graph = helper.make_graph([node], "gather", ends, [result])
    path = tmp_path / "gather.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)
    x, at = np.arange(400, dtype=np.float32).reshape(2, 200), np.array([[199, 0, 7], [3, -1, 100]])
    found = ENGINES[engine](path).run({"x": x, "at": at})
    assert found["y"].tolist() == [[199, 0, 7], [203, 399, 300]]


UNFIT = [
    ("MaxPool", {"kernel_shape": [2, 2], "pads": [1, 0, 1, 0]}),
    ("MaxPool", {"kernel_shape": [3], "pads": [1, 1]}),
    ("GlobalMaxPool", {}),
    ("ConvTranspose", {"group": 2}),
]


@pytest.mark.parametrize(("op", "attributes"), UNFIT)
def test_what_the_reference_computes_wrongly_it_is_not_asked(
    tmp_path: Path, op: str, attributes: dict[str, object]
) -> None:
    """onnx 1.23: results of another shape or of other numbers than ONNX says and onnxruntime gives."""
    size = (1, 2, 6) if attributes.get("pads") == [1, 1] else (1, 2, 4, 5)
    x = np.random.default_rng(0).normal(size=size).astype(np.float32)
    weight = [helper.make_tensor("w", TensorProto.FLOAT, [2, 2, 2, 2], np.arange(16.0))]
    inputs = ["x", "w"] if op == "ConvTranspose" else ["x"]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "xy"]
    node = helper.make_node(op, inputs, ["y"], **attributes)
    graph = helper.make_graph([node], "g", ends[:1], ends[1:], weight[: len(inputs) - 1])
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)
    reference, runtime = (ENGINES[name](path) for name in ("onnx reference", "onnxruntime"))
    assert op in str(reference.unfit())
    assert runtime.unfit() is None
    expected = Expected(runtime.run({"x": x}), {})
    check = check_file(reference, "onnx reference", {"x": x}, expected, [])
    assert check.ok
    assert op in str(check.skipped)

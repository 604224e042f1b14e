"""Engines give what ONNX says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from mase.runtime.verification import ENGINES


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

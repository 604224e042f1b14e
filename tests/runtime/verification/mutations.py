"""Exported files with one thing broken: a number of an initializer, a rounding, a bound."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, TensorProto

_STORED = {TensorProto.INT4, TensorProto.UINT4, TensorProto.INT2, TensorProto.UINT2}


def mutations(model: ModelProto) -> Iterator[tuple[str, ModelProto]]:
    """Each broken copy of a model, with what is broken in it."""
    for i, tensor in enumerate(model.graph.initializer):
        if tensor.data_type != TensorProto.INT64:  # shapes and axes
            made = _copy(model)
            _change(made.graph.initializer[i])
            yield f"one number of {tensor.name}", made
    for i, node in enumerate(model.graph.node):
        if node.op_type == "Round":
            made = _copy(model)
            made.graph.node[i].op_type = "Floor"
            yield f"{node.name} is Floor", made
        if node.op_type == "Clip":
            made = _copy(model)
            made.graph.node[i].op_type = "Identity"
            del made.graph.node[i].input[1:]
            yield f"{node.name} is left out", made
        if node.op_type == "Quant" and (rounding := _rounding(node)) is not None and rounding.s == b"ROUND":
            made = _copy(model)
            _rounding(made.graph.node[i]).s = b"FLOOR"
            yield f"{node.name} rounds down", made


def of(model: ModelProto, name: str) -> ModelProto:
    """The copy that breaks what is called so."""
    return next(made for broken, made in mutations(model) if name in broken)


def _copy(model: ModelProto) -> ModelProto:
    made = ModelProto()
    made.CopyFrom(model)
    return made


def _rounding(node: onnx.NodeProto) -> Any:
    return next((a for a in node.attribute if a.name == "rounding_mode"), None)


def _change(tensor: TensorProto) -> None:
    """Change the number in the middle: of a scale or a bound the only one."""
    if tensor.data_type in _STORED:
        data = bytearray(tensor.raw_data)
        data[len(data) // 2] ^= 1
        tensor.raw_data = bytes(data)
        return
    values = onnx.numpy_helper.to_array(tensor).copy().reshape(-1)
    at = len(values) // 2
    if values.dtype.kind == "f":
        values[at] = values[at] * 1.5 if values[at] else 1.0
    else:
        values[at] ^= 1
    name = tensor.name
    tensor.CopyFrom(onnx.numpy_helper.from_array(values.reshape(tuple(tensor.dims)), name))
    assert values.dtype != np.dtype(object)

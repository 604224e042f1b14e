"""ONNX models in files: shapes inferred, checked, written whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import onnx
from onnx import ModelProto, TensorProto

from mase.ir import MaseError
from mase.runtime.onnx.builder import QONNX_DOMAIN

__all__ = ["LIMIT", "Summary", "infer_shapes", "save_model", "tensor_bytes"]

LIMIT = 2**31 - 2**20
"""Bytes of weights beyond which they lie in a file of their own: protobuf ends at 2 GiB."""

_SMALL = 1024


@dataclass(frozen=True)
class Summary:
    """What a file holds.

    Args:
        ops: how often each operator occurs.
        tensors: initializers by element type, each with their number and bytes.
        bytes: the size of all files.
        files: the model, and its weights where they lie apart.
    """

    ops: dict[str, int]
    tensors: dict[str, tuple[int, int]]
    bytes: int
    files: tuple[Path, ...]


def tensor_bytes(tensor: TensorProto) -> int:
    """The bytes of an initializer's numbers."""
    return len(tensor.raw_data) or tensor.ByteSize()


def infer_shapes(model: ModelProto) -> None:
    """Add the types of values that the model does not tell, without copying its weights."""
    while True:
        _infer_quant(model)
        inferred = onnx.shape_inference.infer_shapes(_without_weights(model), data_prop=True)
        known = {v.name for v in (*model.graph.value_info, *model.graph.input, *model.graph.output)}
        new = [v for v in inferred.graph.value_info if v.name not in known]
        if not new:
            return
        model.graph.value_info.extend(new)


def _infer_quant(model: ModelProto) -> None:
    """QONNX's operators keep shape and type of their operand, which ONNX itself does not know."""
    graph = model.graph
    known = {v.name: v.type for v in (*graph.value_info, *graph.input, *graph.output)}
    for tensor in graph.initializer:
        known[tensor.name] = onnx.helper.make_tensor_type_proto(tensor.data_type, list(tensor.dims))
    for node in graph.node:
        if node.domain == QONNX_DOMAIN and node.input[0] in known and node.output[0] not in known:
            known[node.output[0]] = known[node.input[0]]
            graph.value_info.append(onnx.ValueInfoProto(name=node.output[0], type=known[node.input[0]]))


def _without_weights(model: ModelProto) -> ModelProto:
    light = ModelProto(
        ir_version=model.ir_version, opset_import=model.opset_import, functions=model.functions
    )
    graph = model.graph
    light.graph.name = graph.name
    for name in ("node", "input", "output", "value_info"):
        getattr(light.graph, name).extend(getattr(graph, name))
    for tensor in graph.initializer:
        if tensor_bytes(tensor) <= _SMALL:
            light.graph.initializer.append(tensor)
        else:
            light.graph.input.append(
                onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
            )
    return light


def save_model(model: ModelProto, path: Path, limit: int = LIMIT) -> Summary:
    """Check a model and write it; weights of more than ``limit`` bytes go into ``<path>.data``.

    Args:
        model: the model; its weights become references where they are written apart.
        path: the file.
        limit: how many bytes of weights the model's own file may hold.

    Raises:
        MaseError: if the ONNX checker rejects the model, or the files cannot be written.
    """
    infer_shapes(model)
    ops, tensors = _count_ops(model), _count_tensors(model)
    apart = sum(tensor_bytes(t) for t in model.graph.initializer) > limit
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        try:
            files = _write(model, folder, path, apart)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise MaseError.of(f"cannot write {path}: {error}") from None
    return Summary(ops, tensors, sum(f.stat().st_size for f in files), files)


def _write(model: ModelProto, folder: Path, path: Path, apart: bool) -> tuple[Path, ...]:
    """Write into a folder of its own, check there, and move what is whole to its place."""
    draft, data = folder / path.name, f"{path.name}.data"
    apart_options: dict[str, Any] = {
        "save_as_external_data": True,
        "location": data,
        "size_threshold": _SMALL,
    }
    cast(Any, onnx).save_model(model, str(draft), **(apart_options if apart else {}))
    try:
        cast(Any, onnx.checker).check_model(str(draft), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise MaseError.of(f"the ONNX checker rejects the model: {str(error).strip()}") from None
    moved = [path]
    if apart:
        (folder / data).replace(path.parent / data)
        moved.append(path.parent / data)
    draft.replace(path)
    return tuple(moved)


def _count_ops(model: ModelProto) -> dict[str, int]:
    return dict(sorted(Counter(n.op_type for n in model.graph.node).items(), key=lambda kv: (-kv[1], kv[0])))


def _count_tensors(model: ModelProto) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for tensor in model.graph.initializer:
        name = TensorProto.DataType.Name(tensor.data_type)
        number, size = found.get(name, (0, 0))
        found[name] = number + 1, size + tensor_bytes(tensor)
    return found

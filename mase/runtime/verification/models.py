"""ONNX models with more outputs, or with their dimensions fixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import onnx
from numpy.typing import NDArray
from onnx import ModelProto

from mase.ir.dim import parse_dim, size_of

__all__ = ["exposed", "fixed_sizes", "kind_and_values", "load", "metadata", "value_names"]


def load(path: Path, weights: bool = True) -> ModelProto:
    """A model; without ``weights`` those that lie in another file stay there."""
    return cast(Any, onnx).load_model(str(path), load_external_data=weights)


def metadata(model: ModelProto) -> dict[str, str]:
    """What the file tells of itself."""
    return {p.key: p.value for p in model.metadata_props}


def value_names(model: ModelProto) -> list[str]:
    """The names of all values that the model computes, in order."""
    return [name for node in model.graph.node for name in node.output if name]


def kind_and_values(path: Path) -> tuple[str, list[str]]:
    """What kind of file it is, and the names of the values that can be looked at in it."""
    if path.is_dir():
        from mase.runtime.hls.emulation import shown

        return "hls", shown(path)
    model = load(path, weights=False)
    domains = {node.domain for node in model.graph.node}
    guess = "qonnx" if any("qonnx" in d or "finn" in d for d in domains) else "qdq"
    return metadata(model).get("mase.format", guess), value_names(model)


def exposed(model: ModelProto, names: Sequence[str]) -> ModelProto:
    """A copy with further values as outputs."""
    made = ModelProto()
    made.CopyFrom(model)
    known = {v.name: v for v in model.graph.value_info}
    have = {o.name for o in model.graph.output}
    for name in names:
        if name not in have:
            made.graph.output.append(known.get(name) or onnx.ValueInfoProto(name=name))
    return made


def fixed_sizes(model: ModelProto, feeds: Mapping[str, NDArray[Any]]) -> ModelProto:
    """A copy whose symbolic dimensions are those of the inputs, for tools that want static shapes."""
    sizes: dict[str, int] = {}
    for value in model.graph.input:
        for d, size in zip(value.type.tensor_type.shape.dim, feeds[value.name].shape, strict=True):
            if d.dim_param:
                sizes[d.dim_param] = size
    made = ModelProto()
    made.CopyFrom(model)
    for value in (*made.graph.input, *made.graph.output, *made.graph.value_info):
        for d in value.type.tensor_type.shape.dim:
            if d.dim_param and (size := _size(d.dim_param, sizes)) is not None:
                d.dim_value = size
    return made


def _size(text: str, sizes: Mapping[str, int]) -> int | None:
    if text in sizes:
        return sizes[text]
    try:
        return size_of(parse_dim(text), sizes)
    except (ValueError, KeyError):
        return None

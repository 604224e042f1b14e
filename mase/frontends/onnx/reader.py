"""From an ONNX file to a graph."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import torch
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto

from mase.frontends.onnx import codes, elementwise, integers, qoperators, quantizers, rules, views
from mase.frontends.onnx.codes import explicit, takes_codes
from mase.frontends.onnx.folding import folded
from mase.frontends.onnx.place import Place, identifier
from mase.frontends.onnx.registry import RULES
from mase.frontends.onnx.sizes import evaluated
from mase.frontends.onnx.value import Value
from mase.ir.diagnostics import Diagnostic, MaseError, did_you_mean
from mase.ir.dim import Dim, symbol
from mase.ir.formats import Dtype
from mase.ir.graph import Graph
from mase.ir.ops import core
from mase.ir.ops.quantized import QuantizedOp
from mase.ir.types import TensorType

__all__ = ["read_onnx"]

_MODULES = (
    codes,
    elementwise,
    integers,
    qoperators,
    quantizers,
    rules,
    views,
)  # imported for what they register
_DTYPES: dict[int, str] = {
    TensorProto.FLOAT: "f32",
    TensorProto.DOUBLE: "f64",
    TensorProto.FLOAT16: "f16",
    TensorProto.BFLOAT16: "bf16",
    TensorProto.INT64: "i64",
    TensorProto.INT32: "i32",
    TensorProto.INT16: "i16",
    TensorProto.INT8: "i8",
    TensorProto.UINT8: "u8",
    TensorProto.BOOL: "bool",
}
_BITS: dict[int, tuple[int, int]] = {
    TensorProto.INT4: (-8, 7),
    TensorProto.UINT4: (0, 15),
    TensorProto.INT2: (-2, 1),
    TensorProto.UINT2: (0, 3),
}


def read_onnx(path: Path) -> Graph:
    """The graph of a float, QDQ or QONNX model; with quantizers it is at level ``quantized``.

    Args:
        path: the file; weights may lie apart.

    Raises:
        MaseError: if the file is damaged, or naming every operator that has no rule.
    """
    try:
        model = cast(ModelProto, cast(Any, onnx).load_model(str(path)))
    except Exception as error:  # noqa: BLE001 (protobuf and ONNX raise what they like)
        raise MaseError.of(f"{path} is no ONNX model: {str(error).strip()[:200]}") from None
    return _Reader(model, path.stem).run()


class _Reader:
    def __init__(self, model: ModelProto, name: str) -> None:
        self.model = model
        self.graph = Graph(model.graph.name or name)
        self.values: dict[str, Value] = {}
        self.bits: dict[str, tuple[int, int]] = {}
        self.opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 1)
        self.uses = Counter(i for node in model.graph.node for i in node.input)

    def run(self) -> Graph:
        body = self.model.graph
        _refuse_unknown(self.model)
        for tensor in body.initializer:
            self._constant(tensor.name, tensor)
        for info in body.input:
            if info.name not in self.values:
                node = self.graph.add(core.Input(), type=_type(info), name=identifier(info.name))
                self.values[info.name] = Value(node=node)
        for node in body.node:
            self._read(node)
        self._outputs()
        if self.graph.find(QuantizedOp):
            self.graph.level = "quantized"
        return self.graph

    def _constant(self, name: str, tensor: TensorProto) -> None:
        array = onnx.numpy_helper.to_array(tensor)
        if tensor.data_type in _BITS:
            self.bits[name] = _BITS[tensor.data_type]
            array = array.astype("int8" if _BITS[tensor.data_type][0] < 0 else "uint8")
        self.values[name] = Value(const=cast(Any, torch).from_numpy(array.copy()), key=name)

    def _read(self, node: NodeProto) -> None:
        attributes: dict[str, Any] = {
            a.name: _plain(onnx.helper.get_attribute_value(a)) for a in node.attribute
        }
        if node.op_type == "Constant":
            self._constant(node.output[0], _constant(node, attributes))
            return
        if node.op_type == "Cast":
            attributes["to format"] = _format(attributes["to"])
        if node.op_type == "ConstantOfShape":
            fill = attributes.get("value")
            attributes["fill"] = 0.0 if fill is None else onnx.numpy_helper.to_array(fill).item()
            attributes["format"] = _format(TensorProto.FLOAT if fill is None else fill.data_type)
        if node.input and node.input[0] in self.bits:
            attributes["bits of constant"] = self.bits[node.input[0]]
        inputs = [self.values[name] if name else None for name in node.input]
        kind = node.op_type
        if kind == "Clip" and inputs[0] is not None and inputs[0].codes:
            kind = "Clip (codes)"
        place = Place(
            self.graph, kind, inputs, attributes, identifier(node.output[0]), self.uses, len(node.output)
        )
        if not takes_codes(kind):
            place.inputs = [self._plain(place, v, n) for v, n in zip(inputs, node.input, strict=True)]
        made = folded(place, node, self.opset) or evaluated(place) or RULES[kind](place)
        results = made if isinstance(made, list) else [made]
        self.values |= dict(zip(node.output, results, strict=False))

    def _plain(self, place: Place, value: Value | None, name: str) -> Value | None:
        """Codes as numbers, computed once however often they are taken."""
        if value is None or not value.codes or value.node is None:
            return value
        self.values[name] = explicit(place, value, identifier(name))
        return self.values[name]

    def _outputs(self) -> None:
        found: list[Any] = []
        for info in self.model.graph.output:
            value = self.values[info.name]
            place = Place(self.graph, "output", [value], {}, identifier(info.name))
            value = self._plain(place, value, info.name) or value
            found.append(place.node(place.carried(value)))
        self.graph.outputs = found


def _refuse_unknown(model: ModelProto) -> None:
    """Name every operator that no rule reads, each with its first node."""
    first: dict[str, NodeProto] = {}
    for node in model.graph.node:
        if node.op_type not in RULES and node.op_type != "Constant":
            first.setdefault(node.op_type, node)
    if not first:
        return
    near = {kind: did_you_mean(kind, RULES) for kind in first}
    raise MaseError(
        [
            Diagnostic(
                f"no rule reads {kind}",
                node=node.name or node.output[0],
                help=near[kind] or f"mase reads {', '.join(sorted(k for k in RULES if k.isalnum()))}",
            )
            for kind, node in sorted(first.items())
        ]
    )


def _constant(node: NodeProto, attributes: dict[str, Any]) -> TensorProto:
    """What a Constant holds, a tensor or plain numbers."""
    if "value" in attributes:
        return attributes["value"]
    dtypes = {
        "value_float": "float32",
        "value_floats": "float32",
        "value_int": "int64",
        "value_ints": "int64",
    }
    name = next((n for n in dtypes if n in attributes), None)
    if name is None:
        raise MaseError.of(f"Constant {node.output[0]}: expected numbers, found {', '.join(attributes)}")
    return onnx.numpy_helper.from_array(np.array(attributes[name], dtypes[name]), node.output[0])


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    return value


def _format(element: int) -> Dtype:
    if element not in _DTYPES:
        raise MaseError.of(f"element type {TensorProto.DataType.Name(element)} is none of mase's")
    return Dtype(_DTYPES[element])


def _type(info: ValueInfoProto) -> TensorType:
    tensor = info.type.tensor_type
    shape: list[Dim] = []
    for i, d in enumerate(tensor.shape.dim):
        if d.HasField("dim_value"):
            shape.append(d.dim_value)
        else:
            shape.append(symbol(identifier(d.dim_param or f"{info.name}_{i}")))
    return TensorType(_format(tensor.elem_type), tuple(shape))

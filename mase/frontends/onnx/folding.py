"""Operators on constants, computed while a file is read."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from onnx import NodeProto
from onnx.reference import ReferenceEvaluator

from mase.frontends.onnx.place import Place
from mase.frontends.onnx.value import Value
from mase.ir.formats import Dtype

__all__ = ["folded"]

_KEPT = {"DequantizeLinear", "QuantizeLinear", "Quant", "BipolarQuant", "Identity"}
_SMALL = 2**24  # ONNX's reference is slow, and weights are better as they are


def folded(place: Place, node: NodeProto, opset: int) -> Value | None:
    """The result of an operator of constants; None if an operand is computed, or the operator has a rule."""
    values = [v for v in place.inputs if v is not None]
    if place.kind in _KEPT or len(node.output) > 1 or any(v.const is None for v in values):
        return None
    if place.kind == "Transpose" and values[0].key:
        return values[0].permuted(place.get("perm", range(place.type(0).rank)[::-1]))
    if any(v.format for v in values):
        return None
    constants = [cast(Any, v.const) for v in values]
    if place.kind == "Cast":
        format = place.get("to format")
        assert isinstance(format, Dtype)
        return Value(const=constants[0].to(getattr(torch, format.torch_name)), key=values[0].key)
    if place.kind == "GatherElements":  # ONNX's reference fails where indices are fewer than elements
        return Value(const=constants[0].gather(place.get("axis", 0), constants[1]), key=place.output)
    if sum(c.numel() for c in constants) > _SMALL:
        return None
    names = [name for name in node.input if name]
    feeds = {name: c.numpy() for name, c in zip(names, constants, strict=True)}
    evaluator: Any = ReferenceEvaluator(node, opsets={"": opset})
    result = evaluator.run(None, feeds)[0]
    return Value(const=torch.as_tensor(np.array(result)), key=place.output)

"""The arguments of a ``torch.call`` by the names that the ATen operator gives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from mase.ir import Dtype, Hole, MaseError, ScalarType, TensorType, parse_format
from mase.ir.ops.torch import Call
from mase.runtime.onnx.site import Site

__all__ = ["Operand", "bind"]


@dataclass(frozen=True)
class Operand:
    """A tensor among the arguments.

    Args:
        name: the value's name in the file.
        type: its type.
    """

    name: str
    type: TensorType


def bind(op: Call, site: Site) -> dict[str, Any] | None:
    """The arguments by name, defaults included; None if the operator is unknown or an argument has no value.

    Tensors are `Operand`, symbolic sizes are dimensions, element types are formats.
    """
    import torch

    _, operation, overload = (*op.target.split("."), "default")[:3]
    packet: Any = getattr(torch.ops.aten, operation, None)
    if packet is None or overload not in packet.overloads():
        return None
    schema: Any = getattr(packet, overload)._schema
    try:
        given = op.args.fill(lambda hole: _operand(hole, site), _named)
        keywords = cast("dict[str, Any]", op.kwargs.fill(lambda hole: _operand(hole, site), _named))
    except MaseError:
        return None
    names = [a.name for a in schema.arguments]
    found = {a.name: a.default_value for a in schema.arguments if a.has_default_value()}
    return found | dict(zip(names, given, strict=False)) | keywords


def _operand(hole: int | Hole, site: Site) -> Any:
    position = hole.index if isinstance(hole, Hole) else hole
    node = site.node.inputs[position]
    if isinstance(node.type, TensorType):
        return Operand(site.inputs[position], node.type)
    if isinstance(node.type, ScalarType) and node.type.value is not None:
        return node.type.value
    raise MaseError.of(f"{node.name} is {node.type}, whose value is not known")


def _named(name: str) -> Any:
    if name.startswith("torch."):
        return name
    format = parse_format(name)
    assert isinstance(format, Dtype)
    return format

"""How a node looks: its colours by family, its lines of text, and what pointing at it tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mase.ir.codec import to_fields
from mase.ir.graph import Node
from mase.ir.op import Op
from mase.ir.ops import core, nn, norm, pool, tensor
from mase.ir.ops.attention import Attention
from mase.ir.ops.conv import Conv, ConvTranspose
from mase.ir.ops.quantized import QuantizedOp, role_formats
from mase.ir.ops.torch import Call, Module
from mase.passes.analyses.not_quantized import NotQuantized

__all__ = ["FAMILIES", "Family", "details", "family_of", "lines_of", "title_of"]

_LONGEST = 30


@dataclass(frozen=True)
class Family:
    """Ops that look alike.

    Args:
        name: in the legend.
        light: the fill of a float op.
        strong: the line, and the fill of a quantized op.
        ops: the classes that belong to it.
    """

    name: str
    light: str
    strong: str
    ops: tuple[type[Op], ...] = ()


FAMILIES: tuple[Family, ...] = (
    Family("input, output", "#eef2f6", "#7b8794", (core.Input,)),
    Family("parameter", "#fbf5dd", "#a98f35", (core.Parameter,)),
    Family(
        "products",
        "#e3effd",
        "#2b6cb8",
        (nn.Linear, Conv, ConvTranspose, tensor.MatMul, Attention, nn.Embedding),
    ),
    Family(
        "normalisation",
        "#e3f5ea",
        "#2a8c53",
        (norm.BatchNorm, norm.LayerNorm, norm.RmsNorm, norm.GroupNorm),
    ),
    Family("activation", "#fdeee0", "#c96a1c", (nn.Activation,)),
    Family("pooling", "#f0e9fb", "#7450b8", (pool.MaxPool, pool.AvgPool, pool.AdaptivePool)),
    Family("arithmetic", "#fce8ee", "#b83a66", (tensor.Binary,)),
    Family("other", "#f4f5f7", "#8a94a0", (Op,)),
)
"""In the order in which they claim an op."""


def family_of(op: Op) -> Family:
    """The family of an op; a quantized op belongs to that of its float op."""
    cls = op.base if isinstance(op, QuantizedOp) else type(op)
    return next(family for family in FAMILIES if issubclass(cls, family.ops))


def title_of(op: Op) -> str:
    """The op in one word.

    Example:
        >>> from mase.ir.ops.nn import Relu
        >>> title_of(Relu())
        'relu'
    """
    if isinstance(op, Call):
        parts = op.target.split(".")
        return parts[1] if parts[0] == "aten" and len(parts) > 1 else parts[-1]
    return op.cls.rpartition(".")[2] if isinstance(op, Module) else op.name.rpartition(".")[2]


def lines_of(node: Node) -> list[str]:
    """What stands below the title: name, type, and the formats of quantized operands."""
    # What tells long names apart is their end.
    name = node.name if len(node.name) <= _LONGEST else f"…{node.name[1 - _LONGEST :]}"
    formats = [f"{role} {f}" for role, f in role_formats(node.op).items() if f is not None]
    own = [] if name == title_of(node.op) else [name]
    return [*own, *(_short(line) for line in (str(node.type), *formats))]


def details(node: Node) -> str:
    """Everything about a node, a line each."""
    table: dict[str, object] = {"op": node.op.name, **_attributes(node.op), "type": node.type}
    table |= {"scope": node.scope, "from": node.loc, **node.params}
    if found := node.meta.get(NotQuantized):
        table["not quantized"] = found.reason
    return "\n".join([node.name, *(f"{key}: {value}" for key, value in table.items() if value)])


def _attributes(op: Op) -> Mapping[str, object]:
    return to_fields(op) if op.attributes() else {}


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"

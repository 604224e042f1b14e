"""Legalization of look-ups: rows of a table of codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from mase.ir.graph import Node
from mase.ir.ops import exact, nn
from mase.ir.ops.exact import Code
from mase.ir.ops.quantized import float_op
from mase.passes.legalize.constants import codes_of
from mase.passes.legalize.contraction import weight_of
from mase.passes.legalize.registry import legalize
from mase.passes.legalize.value import Scaling, Target, Value

if TYPE_CHECKING:
    from mase.passes.legalize.legalizer import Legalizer

__all__ = ["embedding", "rows"]


@legalize.register(nn.Embedding)
def embedding(node: Node, legal: Legalizer) -> Value:
    """A quantized embedding."""
    weight = weight_of(node, legal)
    if weight.scaling.axis is not None:
        raise legal.fault(node, "rows have scales of their own", "use a format with one scale, as int<8>")
    return _looked_up(node, legal, node.name, weight.codes, weight.format, weight.scaling)


def rows(node: Node, legal: Legalizer, target: Target) -> Value:
    """An embedding in float, such as a table of angles, whose user quantizes what it looks up."""
    codes = codes_of(legal.old.state[node.params["weight"]], target.format, **legal.given(target))
    codes = codes.clamp(target.min, target.max)
    name, scaling = f"{node.name}_codes", Scaling.of(target.scale)
    return _looked_up(node, legal, name, codes, target.code, scaling, target.zero_point)


def _looked_up(
    node: Node,
    legal: Legalizer,
    name: str,
    codes: Tensor,
    format: Code,
    scaling: Scaling,
    zero_point: int = 0,
) -> Value:
    if getattr(float_op(node.op), "max_norm", None) is not None:
        raise legal.fault(node, "max_norm shortens rows in float", "capture it without max_norm")
    made = legal.new.add(
        exact.Embedding(format=format),
        legal.plain(node.inputs[0]),
        params={"weight": legal.constants.key(node, "weight", codes, format)},
        name=name,
        like=node,
    )
    interval = exact.Interval(int(codes.min()), int(codes.max()))
    return legal.annotated(Value(made, scaling, zero_point, interval))

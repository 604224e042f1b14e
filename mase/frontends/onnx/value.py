"""What a name of an ONNX graph stands for while its graph is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mase.ir.dim import Dim
from mase.ir.format import Format
from mase.ir.formats import Integer
from mase.ir.graph import Node

__all__ = ["Scaled", "Value", "same_scale"]


@dataclass(frozen=True)
class Scaled:
    """The grid of a quantizer.

    Args:
        scale: float32: one number, or one for each index of ``axis``.
        zero_point: integers shaped as ``scale``.
        low: the least code.
        high: the largest code.
        axis: the dimension of the scales.
    """

    scale: Tensor
    zero_point: Tensor
    low: int
    high: int
    axis: int = 0


def same_scale(x: Scaled | None, y: Scaled | None) -> bool:
    """Whether two grids have the same scale and zero point; formats without a scale have none."""
    if x is None or y is None:
        return x is y
    scales = (g.scale.reshape(-1) for g in (x, y))
    zeros = (g.zero_point.reshape(-1) for g in (x, y))
    return torch.equal(*scales) and torch.equal(*zeros)


@dataclass(frozen=True)
class Value:
    """A value: of a node, or a constant; perhaps on the grid of a format, or as codes of one.

    Args:
        node: the node that computes it, None for a constant.
        const: the constant.
        key: what the constant is called in the file.
        format: the grid that whoever takes the value puts it on.
        scaled: the scale of that grid where it is no power of two; for codes, their grid.
        codes: whether what the file has here are the codes.
        dims: the numbers of a shape, or of a part of one, where some are symbolic.
        scalar: whether ``dims`` is one number without dimensions.
        grid_before: the format and scale that a value had before it was made codes.
        lookup: a constant table of codes and the rows that are looked up in it, before there is a node.
    """

    node: Node | None = None
    const: Tensor | None = None
    key: str = ""
    format: Format | None = None
    scaled: Scaled | None = None
    codes: bool = False
    dims: tuple[Dim, ...] | None = None
    scalar: bool = False
    grid_before: tuple[Format, Scaled | None] | None = None
    lookup: tuple[Value, Value] | None = None

    def plain(self) -> Value:
        """The same constant, whose numbers say it all, in float."""
        return replace(self, format=None, scaled=None)

    def permuted(self, order: Sequence[int]) -> Value:
        """A constant with its dimensions in another order, and its grid with it."""
        assert self.const is not None
        const, format, scaled = self.const.permute(*order).contiguous(), self.format, self.scaled
        if isinstance(format, Integer) and format.channel is not None:
            channel = list(order).index(format.channel % self.const.dim())
            format = replace(format, channel=channel)
            scaled = None if scaled is None else replace(scaled, axis=channel)
        return replace(self, const=const, format=format, scaled=scaled)

    def of(self, node: Node) -> Value:
        """The same grid for a value that only moved."""
        return replace(self, node=node, const=None)

"""What the codes of a value mean: the annotation that every node of level ``integer`` carries."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mase.ir.annotations import register_annotation

if TYPE_CHECKING:
    from torch import Tensor

    from mase.ir.graph import Node

__all__ = ["Quantity", "real_value"]


@register_annotation("quantity")
class Quantity:
    """A code ``k`` means ``scale * (k - zero_point)``.

    Args:
        scale: the scale of the whole tensor, as float64; None if there is one for each index of ``axis``.
        scales: the key in the state of the float64 scales along ``axis``.
        axis: the dimension that ``scales`` run along, counted from the start.
        zero_point: the code of 0.

    Example:
        >>> Quantity(scale=2.0**-10).frac, Quantity(scale=0.1).frac
        (10, None)
    """

    scale: float | None = None
    scales: str = ""
    axis: int = 0
    zero_point: int = 0

    @property
    def frac(self) -> int | None:
        """The fractional bits where the scale is ``2**-frac``; None for any other."""
        if self.scale is None:
            return None
        mantissa, exponent = math.frexp(self.scale)
        return 1 - exponent if mantissa == 0.5 else None


def real_value(node: Node, codes: Tensor) -> Tensor:
    """What codes of a node mean, in float64.

    Args:
        node: a node of a graph at level ``integer``, with its `Quantity`.
        codes: integers of its value.

    Raises:
        KeyError: if the node has no `Quantity`.
    """
    quantity = node.meta[Quantity]
    real = (codes - quantity.zero_point).double()
    if quantity.scale is not None:
        return real * quantity.scale
    shape = [1] * codes.dim()
    shape[quantity.axis] = -1
    return real * node.graph.state[quantity.scales].view(shape)

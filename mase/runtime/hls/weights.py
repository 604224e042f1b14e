"""Parameters as integers, and operands' formats as fixed point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mase.ir import Fixed, Format, Node
from mase.ir.formats import Integer
from mase.runtime.hls.numbers import Range, on_grid
from mase.runtime.hls.registry import UnfitError

__all__ = ["Weights", "fixed_format", "weights_of"]


@dataclass(frozen=True)
class Weights:
    """A parameter as it is multiplied.

    Args:
        codes: integers, in the parameter's shape.
        frac: their fractional bits.
    """

    codes: NDArray[np.int64]
    frac: int

    @property
    def values(self) -> NDArray[np.float64]:
        """The numbers themselves."""
        return np.ldexp(self.codes.astype(np.float64), -self.frac)

    @property
    def type(self) -> str:
        """The type that holds them."""
        return str(Range.among(self.codes, self.frac))


def weights_of(tensor: Tensor | NDArray[np.float64], role: str) -> Weights:
    """Numbers as integers.

    Raises:
        UnfitError: if its numbers have no common last bit.
    """
    try:
        codes, frac = on_grid(tensor if isinstance(tensor, np.ndarray) else tensor.double().numpy())
    except ValueError as error:
        raise UnfitError(f"{role}: {error}", "quantize it to fixed<W,F>") from None
    return Weights(codes, frac)


def fixed_format(node: Node, role: str, format: Format) -> Fixed:
    """The fixed-point format that an operand's format is.

    Raises:
        UnfitError: if it is none.
    """
    if isinstance(format, Fixed):
        return format
    key = node.params.get(f"{role}_scale")
    if isinstance(format, Integer) and not format.asym and key is not None:
        scale = node.graph.state[key]
        frac = -np.log2(float(scale)) if scale.numel() == 1 else np.nan
        if float(frac).is_integer():
            return Fixed(
                format.width,
                int(frac),
                signed=format.code_min < 0,
                narrow=format.narrow,
                rounding=format.rounding,
            )
    raise UnfitError(
        f"{role} is {format}, and scales that are no powers of two are off by some last bits",
        "quantize to fixed<W,F>, or take requant=dyadic and legalize-casts",
    )

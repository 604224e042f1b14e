"""What modules of scaled integers do as integer hardware does, where ``requant = "dyadic"`` asks for it.

In eval mode their numbers are codes times scales in float64: so near to the exact ones that requantizing
them gives what a 31-bit multiplier and a shift give. `legalize-casts` proves that, channel by channel: it
takes a multiplier for which no accumulator lies so close to a tie that the two could round otherwise. Biases
are whole numbers of the accumulator's scale, in training too.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mase.ir.formats import Fixed, Integer
from mase.runtime.exact.alignment import align, code_width
from mase.runtime.given_scales import positive
from mase.runtime.kernels import Scale, quantize, scale_of
from mase.runtime.kernels.integer import exact_values

if TYPE_CHECKING:
    from mase.runtime.modules.base import QuantizedModule

__all__ = [
    "aligned",
    "bias_in_units",
    "in_codes",
    "operand_scale",
    "precise",
    "scales_of",
    "single_scale",
    "sum_of_codes",
    "weight_scale",
]


def operand_scale(module: QuantizedModule, role: str) -> Scale | None:
    """The static scale, or scales, of an operand or a weight in ``int<W>``; None if it has none."""
    if not isinstance(module.formats.get(role), Integer) or not hasattr(module, f"{role}_scale"):
        return None
    scale: Tensor = getattr(module, f"{role}_scale")
    zero_point: Tensor | None = getattr(module, f"{role}_zero_point", None)
    return Scale(positive(scale), zero_point)


def precise(module: QuantizedModule, role: str, x: Tensor) -> Tensor:
    """An operand on its format's grid, in float64."""
    format = module.data_out if role == "data_out" else module.formats[role]
    if isinstance(format, Integer):
        scale = operand_scale(module, role) or scale_of(x, format)
        assert scale is not None
        return exact_values(x, format, scale)
    return x.double() if format is None else quantize(x.double(), format)


def scales_of(module: QuantizedModule, weight: Tensor) -> tuple[Tensor, Tensor] | None:
    """The float64 scales of ``data_in`` and of a weight, one or one an output; None without."""
    own = weight_scale(module, weight)
    x = single_scale(module, "data_in", weight.device)
    return None if own is None or x is None else (x, own)


def weight_scale(module: QuantizedModule, weight: Tensor) -> Tensor | None:
    """The float64 scale of a weight, or those of its outputs along dimension 0; None if it has neither."""
    format = module.formats["weight"]
    if isinstance(format, Fixed):
        return torch.tensor(format.step, dtype=torch.float64, device=weight.device)
    if not isinstance(format, Integer) or format.channel not in (None, 0):
        return None
    if format.reach == "row":
        return None
    found = operand_scale(module, "weight") or scale_of(weight.detach(), format)
    return None if found is None or found.value is None else found.value.double()


def single_scale(module: QuantizedModule, role: str, device: torch.device) -> Tensor | None:
    """The float64 scale of an operand; None if it has none that is known."""
    format, own = module.formats[role], operand_scale(module, role)
    if isinstance(format, Fixed):
        return torch.tensor(format.step, dtype=torch.float64, device=device)
    return None if own is None or own.value is None else own.value.double()


def in_codes(
    module: QuantizedModule, x: Tensor, y: Tensor, product: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """A product of two operands: of their codes, exactly, times both scales."""
    scales = [single_scale(module, role, x.device) for role in ("data_in", "other")]
    if not module.precise or scales[0] is None or scales[1] is None:
        return product(x, y)
    return product((x / scales[0]).round(), (y / scales[1]).round()) * (scales[0] * scales[1])


class _WholeNumbers(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, bias: Tensor, unit: Tensor) -> Tensor:
        return ((bias.double() / unit).round() * unit).to(bias.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def bias_in_units(bias: Tensor, unit: Tensor) -> Tensor:
    """The nearest whole numbers of ``unit``, ties to even; the gradient passes.

    Args:
        bias: ``[outputs]``.
        unit: float64, one or one an output.

    Example:
        >>> bias_in_units(torch.tensor([0.3, -0.5]), torch.tensor(0.25, dtype=torch.float64))
        tensor([ 0.2500, -0.5000])
    """
    made: Any = _WholeNumbers
    return made.apply(bias, unit)


def sum_of_codes(module: QuantizedModule, x: Tensor, y: Tensor, sign: int) -> Tensor | None:
    """``x + y`` or ``x - y`` as integers add codes of unlike scales; None if an operand has no scale."""
    found = aligned(module, ("data_in", "other"))
    if found is None:
        return None
    scale, (of_x, of_y), (factor, other) = found
    first, second = (x / of_x).round(), (y / of_y).round()
    return (first * factor + second * (sign * other)) * scale


def aligned(
    module: QuantizedModule, roles: tuple[str, str], bits: int | None = None
) -> tuple[float, tuple[float, float], tuple[int, int]] | None:
    """One scale for two operands, their own, and the integers that bring their codes to it; see `align`.

    Args:
        module: the module.
        roles: the operands.
        bits: of an aligned code; 31 if None.

    Returns:
        None if one of them has no scale that is known.
    """
    formats = [f for role in roles if isinstance(f := module.formats[role], Fixed | Integer)]
    scales = [single_scale(module, role, torch.device("cpu")) for role in roles]
    if len(formats) < 2 or scales[0] is None or scales[1] is None:
        return None
    a, b = (float(scale) for scale in scales if scale is not None)
    wanted = {} if bits is None else {"bits": bits}
    scale, factors = align(Fraction(a), Fraction(b), code_width(*formats), **wanted)
    return float(scale), (a, b), factors

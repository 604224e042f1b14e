"""From the numbers of a module to integer codes and back, where it computes in integers."""

from __future__ import annotations

from fractions import Fraction
from typing import cast

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from mase.ir import Fixed, MaseError
from mase.ir.formats import Integer
from mase.ir.ops.exact import Numbers, Quantity
from mase.runtime.kernels import quantize
from mase.runtime.modules.base import QuantizedModule
from mase.runtime.modules.grid import Grid, exact_type
from mase.runtime.modules.scaled import operand_scale, precise

__all__ = ["centred", "codes_of", "computes_integers", "fixed", "numbers", "real", "where_nan"]


def computes_integers(module: QuantizedModule, x: Tensor) -> bool:
    """Whether a module is to compute in integers now: in eval mode, on a tensor that has numbers."""
    return (
        module.nonlinear == "table" and not module.training and not (x.is_meta or isinstance(x, FakeTensor))
    )


def fixed(module: QuantizedModule, role: str) -> Fixed:
    """The format of a role, which a module that computes in integers has."""
    return cast(Fixed, module.data_out if role == "data_out" else module.formats[role])


def numbers(module: QuantizedModule, role: str) -> Numbers:
    """What the codes of an operand mean, less their zero point.

    Raises:
        MaseError: if it has a scale that is found anew in each tensor.
    """
    format, scale = module.formats[role], operand_scale(module, role)
    if isinstance(format, Fixed):
        return Numbers.of(format)
    if not isinstance(format, Integer) or scale is None or scale.value is None:
        raise MaseError.of(
            f"tables need a scale of {role} = {format} that is known", help="quantize{scales=static}"
        )
    zero = 0 if scale.zero_point is None else int(scale.zero_point)
    return Numbers(format.code_min - zero, format.code_max - zero, Fraction(float(scale.value)))


def centred(module: QuantizedModule, role: str, x: Tensor) -> Tensor:
    """The int64 codes of an operand less their zero point; those of NaN mean nothing."""
    format = module.formats[role]
    if isinstance(format, Fixed):
        return codes_of(x, format)
    values = precise(module, role, x.detach())
    return (values / float(numbers(module, role).step)).round().nan_to_num(0.0).long()


def codes_of(x: Tensor, format: Fixed) -> Tensor:
    """The int64 codes of numbers; those of NaN mean nothing.

    Example:
        >>> codes_of(torch.tensor([0.3, -99.0]), Fixed(8, 4)).tolist()
        [5, -128]
    """
    return quantize(x.detach().double(), format).mul_(2.0**format.frac).long()


def real(module: QuantizedModule, codes: Tensor, step: Fraction, bound: int, like: Tensor) -> Tensor:
    """The numbers ``codes * step``, in the format and the type that the module returns.

    Args:
        module: says whether its result may be wide.
        codes: integers.
        step: what one of them is worth.
        bound: the largest magnitude of a code.
        like: the first operand.
    """
    values = module.quantized("data_out", codes.double().mul_(float(step)))
    frac = Quantity(scale=float(step)).frac
    exact = None if frac is None else exact_type(Grid(frac, bound))
    return module.returned(values if exact is None else values.to(exact), like)


def where_nan(x: Tensor, result: Tensor, dims: tuple[int, ...] = ()) -> Tensor:
    """``result``, but NaN where ``x`` has one: anywhere along ``dims``, if there are any.

    Example:
        >>> where_nan(torch.tensor([[0.0, torch.nan], [0.0, 0.0]]), torch.ones(2, 2), (1,)).tolist()
        [[nan, nan], [1.0, 1.0]]
    """
    nan = x.isnan()
    return result.masked_fill(nan.any(dims, keepdim=True) if dims else nan, torch.nan)

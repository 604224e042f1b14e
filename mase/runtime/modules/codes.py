"""From the numbers of a module to integer codes and back, where it computes in integers."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from mase.ir import Fixed
from mase.runtime.kernels import quantize
from mase.runtime.modules.base import QuantizedModule
from mase.runtime.modules.grid import Grid, exact_type

__all__ = ["codes_of", "computes_integers", "fixed", "real", "where_nan"]


def computes_integers(module: QuantizedModule, x: Tensor) -> bool:
    """Whether a module is to compute in integers now: in eval mode, on a tensor that has numbers."""
    return (
        module.nonlinear == "table" and not module.training and not (x.is_meta or isinstance(x, FakeTensor))
    )


def fixed(module: QuantizedModule, role: str) -> Fixed:
    """The format of a role, which a module that computes in integers has."""
    return cast(Fixed, module.data_out if role == "data_out" else module.formats[role])


def codes_of(x: Tensor, format: Fixed) -> Tensor:
    """The int64 codes of numbers; those of NaN mean nothing.

    Example:
        >>> codes_of(torch.tensor([0.3, -99.0]), Fixed(8, 4)).tolist()
        [5, -128]
    """
    return quantize(x.detach().double(), format).mul_(2.0**format.frac).long()


def real(module: QuantizedModule, codes: Tensor, frac: int, bound: int, like: Tensor) -> Tensor:
    """The numbers ``codes * 2**-frac``, in the format and the type that the module returns.

    Args:
        module: says whether its result may be wide.
        codes: integers.
        frac: their fractional bits.
        bound: the largest magnitude of a code.
        like: the first operand.
    """
    values = module.quantized("data_out", codes.double().mul_(2.0**-frac))
    if not module.wide:
        return values.to(module.result_type or like.dtype)
    return values.to(exact_type(Grid(frac, bound)) or torch.float64)


def where_nan(x: Tensor, result: Tensor, dims: tuple[int, ...] = ()) -> Tensor:
    """``result``, but NaN where ``x`` has one: anywhere along ``dims``, if there are any.

    Example:
        >>> where_nan(torch.tensor([[0.0, torch.nan], [0.0, 0.0]]), torch.ones(2, 2), (1,)).tolist()
        [[nan, nan], [1.0, 1.0]]
    """
    nan = x.isnan()
    return result.masked_fill(nan.any(dims, keepdim=True) if dims else nan, torch.nan)

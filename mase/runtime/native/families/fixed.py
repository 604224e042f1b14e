"""Fixed point."""

from __future__ import annotations

import math
from ctypes import Structure, c_double, c_float, c_int32

import torch

from mase.ir import Fixed
from mase.ir.format import ROUNDINGS
from mase.runtime.kernels.fixed import bounds
from mase.runtime.native.plans import Elementwise, register_plan

__all__ = ["fixed"]

# Where 1.5 * 2**(23 - F) is a normal float32 whose last bits leave room for the code.
_NARROW_WIDTH, _NARROW_FRACS = 22, range(-100, 127)


class _Constants(Structure):
    """``struct fixed`` of csrc/fixed.c."""

    _fields_ = (
        ("low", c_float),
        ("high", c_float),
        ("magic", c_double),
        ("step", c_double),
        ("rounding", c_int32),
        ("wide", c_int32),
    )


@register_plan(Fixed)
def fixed(format: Fixed) -> Elementwise:
    """The plan of a fixed-point format."""
    wide = format.width > _NARROW_WIDTH or format.frac not in _NARROW_FRACS
    magic = math.ldexp(1.5, (52 if wide else 23) - format.frac)
    limits = bounds(format, torch.float32)
    constants = _Constants(*limits, magic, format.step, ROUNDINGS.index(format.rounding), wide)
    return Elementwise("mase_fixed", constants, limits)

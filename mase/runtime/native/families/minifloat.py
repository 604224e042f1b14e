"""Small floats."""

from __future__ import annotations

import math
from ctypes import Structure, c_double, c_int32

import torch

from mase.ir.format import ROUNDINGS
from mase.ir.formats import Denorm, Float, Minifloat, OcpFloat
from mase.runtime.native.plans import Elementwise, register_plan

__all__ = ["MinifloatConstants", "minifloat"]


class MinifloatConstants(Structure):
    """``struct minifloat`` of csrc/minifloat.h."""

    _fields_ = (
        ("limit", c_double),
        ("fraction", c_int32),
        ("least", c_int32),
        ("rounding", c_int32),
        ("wide", c_int32),
    )

    @classmethod
    def of(cls, format: Minifloat) -> MinifloatConstants:
        """The constants of a format."""
        return cls(
            format.max,
            format.fraction_bits,
            format.min_exponent,
            ROUNDINGS.index(format.rounding),
            not _has_room(format),
        )


def _has_room(format: Minifloat) -> bool:
    """Whether 1.5 * 2**23 steps of every binade, and the steps, are normal float32."""
    largest = math.frexp(format.max)[1] - 1
    return (
        format.fraction_bits <= 21
        and largest + 23 - format.fraction_bits <= 127
        and format.min_exponent - format.fraction_bits >= -126
    )


@register_plan(Float, OcpFloat, Denorm)
def minifloat(format: Minifloat) -> Elementwise | None:
    """The plan of a small float, None where float32 does not hold the largest."""
    if format.max > torch.finfo(torch.float32).max:
        return None
    return Elementwise("mase_minifloat", MinifloatConstants.of(format), (format.min, format.max))

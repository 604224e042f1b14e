"""Exact integer arithmetic: pure functions of int64 tensors, in which no float occurs.

Each has its parameters in a frozen record that is computed once, when the graph is compiled. Every step
exists in hardware and in ONNX: sums, products, shifts, look-ups, and divisions of numbers that are not
negative. `execute` finds the function of an op of the dialect ``int``.
"""

from mase.runtime.exact import (
    casts,
    contraction,
    elementwise,
    norms,
    piecewise,
    reduction,
    rotary,
    softmax,
    tables,
)
from mase.runtime.exact.registry import execute
from mase.runtime.exact.requantize import requantize

__all__ = [
    "casts",
    "contraction",
    "elementwise",
    "execute",
    "norms",
    "piecewise",
    "reduction",
    "requantize",
    "rotary",
    "softmax",
    "tables",
]

"""Legalization: a rule for each op that turns quantized ops into ops on integers; see `Legalizer`."""

from mase.passes.legalize import contraction, elementwise, lookup, nonlinear, norm, reduction
from mase.passes.legalize.legalizer import Boundary, Legalizer
from mase.passes.legalize.registry import legalize
from mase.passes.legalize.value import FIT, Scaling, Target, Value

__all__ = [
    "FIT",
    "Boundary",
    "Legalizer",
    "Scaling",
    "Target",
    "Value",
    "contraction",
    "elementwise",
    "legalize",
    "lookup",
    "nonlinear",
    "norm",
    "reduction",
]

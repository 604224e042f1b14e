"""Exported files against the graph that they were made of, in every engine that is installed."""

from mase.runtime.verification.comparison import Check, Mismatch, check_file, compare_outputs
from mase.runtime.verification.engine import ENGINES, Arrays, Engine
from mase.runtime.verification.expected import Expected, expected_values
from mase.runtime.verification.tolerance import EXACT, LAST_BITS, Tolerance, in_float
from mase.runtime.verification.vectors import vectors_for

__all__ = [
    "ENGINES",
    "EXACT",
    "LAST_BITS",
    "Arrays",
    "Check",
    "Engine",
    "Expected",
    "Mismatch",
    "Tolerance",
    "check_file",
    "compare_outputs",
    "expected_values",
    "in_float",
    "vectors_for",
]

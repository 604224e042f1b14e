"""How many look-up tables an arithmetic circuit takes: a model fitted to synthesised ones.

``xilinx.csv`` holds circuits that Yosys mapped to 7-series cells; ``tools/synthesize.py`` regenerates it.
"""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path
from typing import Literal

__all__ = ["Circuit", "dsp_slices", "luts", "measured"]

Circuit = Literal["variable", "constant", "shift", "dyadic", "add", "max", "relu"]
"""One term of a sum of products (of two variables, or by a constant) with its share of the adders, a
requantization by a shift or by a dyadic multiplier, an elementwise function."""

Row = tuple[int, int, float, float]
"""Two widths in bits, look-up tables and DSP slices of one term."""


@cache
def measured() -> dict[str, list[Row]]:
    """The synthesised circuits by kind."""
    found: dict[str, list[Row]] = {}
    with (Path(__file__).parent / "xilinx.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            x, w, terms, lut, dsp = (int(row[name]) for name in ("x", "w", "terms", "lut", "dsp"))
            found.setdefault(row["circuit"], []).append((x, w, lut / terms, dsp / terms))
    return found


def luts(circuit: Circuit, x: int, w: int) -> float:
    """Look-up tables of one circuit, by relative least squares over the synthesised ones.

    Args:
        circuit: which.
        x: bits of the activation, or of the accumulator that is requantized.
        w: bits of the weight, or of what it is requantized to.

    Example:
        >>> luts("variable", 8, 4) < luts("variable", 8, 8)
        True
    """
    return max(0.0, sum(c * f for c, f in zip(_coefficients(circuit), _features(x, w), strict=True)))


def dsp_slices(x: int, w: int) -> float:
    """DSP slices of one product and its adder: as the next wider pair of widths that was synthesised.

    Example:
        >>> dsp_slices(8, 8), dsp_slices(2, 2)
        (1.0, 0.0)
    """
    rows = sorted(measured()["dsp"], key=lambda row: row[0] * row[1])
    return next((dsp for a, b, _, dsp in rows if a >= max(x, w) and b >= min(x, w)), rows[-1][3])


def _features(x: int, w: int) -> tuple[float, float, float]:
    return 1.0, float(x + w), float(x * w)


@cache
def _coefficients(circuit: Circuit) -> tuple[float, ...]:
    import numpy as np

    rows = measured()[circuit]
    weights = np.array([1 / max(lut, 1.0) for _, _, lut, _ in rows])
    features = np.array([_features(x, w) for x, w, _, _ in rows])
    targets = np.array([lut for _, _, lut, _ in rows])
    solution = np.linalg.lstsq(features * weights[:, None], targets * weights, rcond=None)[0]
    return tuple(float(c) for c in solution)

"""Functions of one number as tables of the model's own results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from mase.ir import Fixed
from mase.runtime.hls.network import Value
from mase.runtime.hls.numbers import Range
from mase.runtime.hls.registry import UnfitError
from mase.runtime.hls.weights import Weights
from mase.runtime.kernels import encode

if TYPE_CHECKING:
    from mase.runtime.hls.site import Site

__all__ = ["check_table", "looked_up", "operands_of", "tabulated"]

_MOST_BITS = 14


def tabulated(site: Site, value: Value, format: Fixed) -> Value:
    """A value whose function is applied, its results on the grid of a format.

    hls4ml's own tables of functions are coarse; this one has an entry for each number of the operand.

    Args:
        site: the node that wants it.
        value: with a function.
        format: of the results.

    Raises:
        UnfitError: if the operand has too many bits, or the backend has no such tables.
    """
    function, numbers = value.function, value.numbers
    assert function is not None
    check_table(site, numbers)
    results = site.runner.apply(function, torch.tensor(operands_of(numbers)).float())
    return looked_up(site, value, Weights(cast(Any, encode(results, format)).long().numpy(), format.frac))


def check_table(site: Site, numbers: Range) -> None:
    """Refuse tables that are too large, or that a backend does not have."""
    if site.options.backend == "Quartus":
        raise UnfitError(
            "hls4ml takes tables of the model's own for Vitis and Vivado only", "use one of these"
        )
    if numbers.bits > _MOST_BITS:
        entries = f"{2**numbers.bits:,}"
        raise UnfitError(f"its table has {entries} entries", "quantize its operand to less")


def looked_up(site: Site, value: Value, table: Weights) -> Value:
    """A value by a table.

    Args:
        site: the node that wants it.
        value: the operand.
        table: an entry for each of `operands_of` its numbers.
    """
    made = site.add(
        "UnaryLUT",
        [site.typed(value, str(value.numbers), "_index")],
        value.shape,
        Range.among(table.codes, table.frac),
        suffix="_table",
        types={"table": table.type},
        activation="unary_lut",
        table_data=table.values,
    )
    return Value(made.layer, value.shape, value.places, made.numbers)


def operands_of(numbers: Range) -> NDArray[np.float64]:
    """What each index means: the bits of a number of the range; those outside of it as its ends."""
    indices = np.arange(2**numbers.bits, dtype=np.float64)
    if numbers.low < 0:
        indices[2 ** (numbers.bits - 1) :] -= 2**numbers.bits
    return np.ldexp(np.clip(indices, numbers.low, numbers.high), -numbers.frac)

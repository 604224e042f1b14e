"""Functions of one number as tables from each input code to an output code."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal, localcontext
from functools import lru_cache

import torch
from torch import Tensor

from mase.ir import Fixed, MaseError, Op
from mase.ir.ops.exact import Numbers, Table
from mase.runtime.exact.registry import execute
from mase.runtime.exact.scalars import DIGITS, float_function, has_table, precise

__all__ = ["MAX_TABLE_BITS", "WIDEST_TABLE", "look_up", "table", "table_of", "value_range"]

MAX_TABLE_BITS = 16
WIDEST_TABLE = 12
"""The bits of operands up to which ops take a table with an entry for each code, and not lines."""

# What float64 may be off by, relative to the larger of the operand, the value and 1.
_FLOAT_ERROR = 2.0**-44
_TIE = Decimal(10) ** -30


def look_up(codes: Tensor, table: Tensor, first: int) -> Tensor:
    """The entry of each code; codes beyond the table take its ends.

    Args:
        codes: int64.
        table: integers, one-dimensional: the entry of the code ``first``, and on.
        first: the least code.

    Example:
        >>> look_up(torch.tensor([-2, 0, 9]), torch.tensor([10, 11, 12, 13]), -2).tolist()
        [10, 12, 13]
    """
    return table[(codes - first).clamp(0, len(table) - 1)]


@execute.register(Table)
def table(op: Table, data_in: Tensor, *, table: Tensor) -> Tensor:
    """``int.table``."""
    return look_up(data_in, table, op.first).long()


@lru_cache(maxsize=64)
def _codes_of(op: Op, source: Numbers, target: Fixed) -> tuple[int, ...]:
    _check(op, source)
    x = _values(source)
    values = float_function(op, x)
    scaled = values * 2.0**target.frac
    ties = 0.0 if target.rounding == "floor" else 0.5
    found = (scaled + ties).floor()
    # Where float64 cannot tell on which side of a tie a value lies, decimals do.
    error = torch.maximum(x.abs(), values.abs()).clamp(min=1.0) * _FLOAT_ERROR * 2.0**target.frac
    doubtful = ((scaled - ties) - (scaled - ties).round()).abs() <= error
    in_range = (scaled >= target.code_min - 1) & (scaled <= target.code_max + 1)
    codes = [int(c) for c in found.clamp(target.code_min, target.code_max)]
    for i in map(int, (doubtful & in_range).nonzero().flatten()):
        codes[i] = _rounded(op, source.first + i, source, target)
    return tuple(codes)


def table_of(op: Op, source: Fixed | Numbers, target: Fixed) -> Tensor:
    """The code in ``target`` of the function's value at each code of ``source``.

    Every entry is the correctly rounded value of the real function: what float64 leaves in doubt is decided
    with 60 digits. So the error against the function is at most half a step of ``target`` where that does
    not saturate, and the table is the same on every machine, and monotone where the function is.

    Args:
        op: the function, see `has_table`.
        source: the operand's format, or its numbers, of at most 16 bits.
        target: the result's format.

    Returns:
        int64, an entry for each number; the first is that of the least.

    Raises:
        MaseError: if the op has no table or the operand is too wide.

    Example:
        >>> from mase.ir.ops import nn
        >>> table_of(nn.Sigmoid(), Fixed(3, 0), Fixed(8, 8, signed=False)).tolist()
        [5, 12, 31, 69, 128, 187, 225, 244]
    """
    return torch.tensor(_codes_of(op, Numbers.of(source), target))


def _values(source: Numbers) -> Tensor:
    return torch.arange(source.first, source.last + 1).double() * float(source.step)


def _check_function(op: Op) -> None:
    if not has_table(op):
        raise MaseError.of(f"{op.name} is no function of one number, so it has no table")


def _check(op: Op, source: Numbers) -> None:
    _check_function(op)
    if source.width > MAX_TABLE_BITS:
        raise MaseError.of(
            f"a table of {source} has 2**{source.width} entries",
            help=f"give its operand at most {MAX_TABLE_BITS} bits",
        )


def _rounded(op: Op, code: int, source: Numbers, target: Fixed) -> int:
    """One entry, by decimals; a value within 1e-30 of a tie is one, for no other comes so near."""
    with localcontext() as context:
        context.prec = DIGITS
        x = Decimal(code * source.step.numerator) / source.step.denominator
        value = precise(op, x) * _power(target.frac)
        below = value.to_integral_value(ROUND_FLOOR)
        part = value - below
        found = int(below)
        if part > 1 - _TIE:  # an integer, but for the last digits
            found, part = found + 1, Decimal(0)
    tie = abs(part - Decimal("0.5")) < _TIE
    up = {
        "floor": False,
        "half_up": tie or part > Decimal("0.5"),
        "half_even": found % 2 == 1 if tie else part > Decimal("0.5"),
    }
    return min(max(found + up[target.rounding], target.code_min), target.code_max)


def _power(exponent: int) -> Decimal:
    return Decimal(2) ** exponent


def value_range(op: Op, source: Fixed | Numbers) -> tuple[float, float]:
    """The least and the largest value of a function over the numbers of a format.

    Args:
        op: the function, see `has_table`.
        source: the operand's format, or its numbers.

    Example:
        >>> from mase.ir.ops import nn
        >>> low, high = value_range(nn.Silu(), Fixed(8, 4))
        >>> round(low, 4), round(high, 4)
        (-0.2784, 7.9347)
    """
    _check_function(op)
    values = float_function(op, _values(Numbers.of(source)))
    return float(values.min()), float(values.max())

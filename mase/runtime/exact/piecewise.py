"""Functions of one number of many bits: straight lines, as many as the function needs where it bends."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, localcontext
from functools import lru_cache

import torch
from torch import Tensor

from mase.ir import Fixed, MaseError, Op
from mase.ir.ops.exact import Numbers, Piecewise
from mase.runtime.exact.registry import execute
from mase.runtime.exact.requantize import shift_round
from mase.runtime.exact.scalars import DIGITS, float_function, has_table, precise

__all__ = ["MAX_PIECEWISE_BITS", "piecewise", "piecewise_of"]

MAX_PIECEWISE_BITS = 24

_BIN_BITS = 8
_GUARD_BITS = 6  # of slopes beyond the length of a segment
_TOLERANCE = 1 / 16
"""In steps of the result: what a line may differ by, beside its rounding."""


@execute.register(Piecewise)
def piecewise(
    op: Piecewise, data_in: Tensor, *, start: Tensor, shift: Tensor, offset: Tensor, slope: Tensor
) -> Tensor:
    """``int.piecewise``."""
    code = (data_in - op.first).clamp(0, op.count - 1)
    bin, rest = code >> op.bits, code & ((1 << op.bits) - 1)
    length = shift.long()[bin]
    segment = start.long()[bin] + (rest >> length)
    line = offset.long()[segment] + slope.long()[segment] * (rest & ((1 << length) - 1))
    out = op.format
    return shift_round(line, op.frac, out.rounding).clamp(out.code_min, out.code_max)


@lru_cache(maxsize=64)
def piecewise_of(op: Op, source: Numbers, out: Fixed) -> tuple[Piecewise, dict[str, Tensor]]:
    """The lines of a function, and the tensors of their roles.

    The codes of the operand fall into 256 bins by their upper bits. Each is cut into halves until no line
    differs from the function by more than a sixteenth of a step of ``out``. A line runs through the
    function's values at the ends of its segment, moved by half of what it is off in the middle; these are
    computed with 60 digits. So results are off by little more than half a step, which rounding alone may
    be: how much exactly is measured over all codes, and kept in the op.

    Args:
        op: the function, see `has_table`.
        source: the operand's numbers, of at most 24 bits.
        out: the format of the result.

    Raises:
        MaseError: if the op has no table or the operand is too wide.

    Example:
        >>> from mase.ir.ops import nn
        >>> made, roles = piecewise_of(nn.Gelu(), Numbers.of(Fixed(16, 12)), Fixed(16, 12))
        >>> made.error < 0.57, len(roles["slope"]) < 700
        (True, True)
    """
    if not has_table(op):
        raise MaseError.of(f"{op.name} is no function of one number, so it has no table")
    if source.width > MAX_PIECEWISE_BITS:
        raise MaseError.of(
            f"a table of {source} would take too many lines",
            help=f"give its operand at most {MAX_PIECEWISE_BITS} bits",
        )
    bits = max(source.width - _BIN_BITS, 0)
    bins = -(-source.count >> bits)
    shifts = [_longest(_in_steps(op, source, out, b << bits, 1 << bits), bits) for b in range(bins)]
    starts, lines = list[int](), list[tuple[int, int]]()
    for b, shift in enumerate(shifts):
        starts.append(len(lines))
        codes = range(b << bits, (b + 1) << bits, 1 << shift)
        lines += [_line(op, source, out, code, 1 << shift, bits + _GUARD_BITS) for code in codes]
    roles = {
        "start": torch.tensor(starts),
        "shift": torch.tensor(shifts),
        "offset": torch.tensor([offset for offset, _ in lines]),
        "slope": torch.tensor([slope for _, slope in lines]),
    }
    made = Piecewise(first=source.first, count=source.count, bits=bits, frac=bits + _GUARD_BITS, out=out)
    error = max(_error(made, roles, op, source, b << bits) for b in range(bins))
    return replace(made, error=round(error, 4)), roles


def _in_steps(op: Op, source: Numbers, out: Fixed, start: int, count: int) -> Tensor:
    """The function at codes that follow each other, in steps of the result; saturated, but for a step."""
    x = torch.arange(source.first + start, source.first + start + count).double() * float(source.step)
    return (float_function(op, x) * 2.0**out.frac).clamp(out.code_min - 1, out.code_max + 1)


def _longest(values: Tensor, bits: int) -> int:
    """The largest power of two of codes that a line may stand for, anywhere in a bin."""
    for shift in range(bits, 0, -1):
        rows = values.view(-1, 1 << shift)
        first, middle, last = rows[:, :1], rows[:, rows.shape[1] // 2 :][:, :1], rows[:, -1:]
        t = torch.arange(rows.shape[1]).double()
        slope = (last - first) / (len(t) - 1)
        bend = (middle - first - slope * (len(t) // 2)) / 2
        if float((first + bend + slope * t - rows).abs().max()) <= _TOLERANCE:
            return shift
    return 0


def _line(op: Op, source: Numbers, out: Fixed, start: int, length: int, frac: int) -> tuple[int, int]:
    """The offset and the slope of a segment, times ``2**frac``."""
    with localcontext() as context:
        context.prec = DIGITS
        first = _value(op, source, out, start)
        if length == 1:
            return round(first * 2**frac), 0
        slope = (_value(op, source, out, start + length - 1) - first) / (length - 1)
        middle = _value(op, source, out, start + length // 2)
        bend = (middle - first - slope * (length // 2)) / 2
        return round((first + bend) * 2**frac), round(slope * 2**frac)


def _value(op: Op, source: Numbers, out: Fixed, code: int) -> Decimal:
    """`_in_steps` of one code, to many digits."""
    x = Decimal((source.first + code) * source.step.numerator) / source.step.denominator
    value = precise(op, x) * Decimal(2) ** out.frac
    return min(max(value, Decimal(out.code_min - 1)), Decimal(out.code_max + 1))


def _error(made: Piecewise, roles: dict[str, Tensor], op: Op, source: Numbers, start: int) -> float:
    """The largest error over the codes of a bin, in steps of the result."""
    count = min(1 << made.bits, source.count - start)
    codes = torch.arange(source.first + start, source.first + start + count)
    exact = _in_steps(op, source, made.format, start, count)
    found = piecewise(made, codes, **roles).double()
    return float((found - exact.clamp(made.format.code_min, made.format.code_max)).abs().max())

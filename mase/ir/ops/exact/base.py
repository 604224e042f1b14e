"""What all ops of the dialect ``int`` share."""

from __future__ import annotations

from typing import Any

from mase.ir.format import Format
from mase.ir.formats import Dtype, Fixed
from mase.ir.formats.code import Code
from mase.ir.op import Op, OpError
from mase.ir.ops.exact.interval import Interval
from mase.ir.ops.shapes import tensor
from mase.ir.types import TensorType, Type

__all__ = ["ExactOp", "carrier", "codes", "fixed", "interval_of", "is_integer"]

CARRIER = Interval(-(2**63), 2**63 - 1)


class ExactOp(Op):
    """Base of the ops on integers: exact, at level ``integer``, with a bound for every result."""

    level = "integer"

    def bounds(self, *operands: Interval, **roles: Any) -> Interval:
        """An interval that holds every element of the result; every op defines it.

        It also proves that no intermediate number leaves int64.

        Args:
            operands: intervals of the operands.
            roles: the tensors of the parameter roles.

        Raises:
            OpError: if an intermediate number could leave int64.
        """
        raise OpError(f"{type(self).__name__} does not define bounds()")


def codes(value: object, what: str, *ranks: int) -> TensorType:
    """``value`` as the type of a tensor of integers, of one of ``ranks`` (any, if none is given).

    Raises:
        OpError: if it is not.
    """
    found = tensor(value, what, *ranks)
    if not is_integer(found):
        raise OpError(f"{what}: expected integers, found {found}; insert an int.quantize")
    return found


def fixed(out: Format) -> Fixed:
    """The format of a result that an op rounds itself.

    Raises:
        OpError: if it is not fixed point.
    """
    if not isinstance(out, Fixed):
        raise OpError(f"out: expected fixed<W,F> or ufixed<W,F>, found {out}")
    return out


def is_integer(type: Type) -> bool:
    """Whether a type is that of a tensor of integers: ``si<W>``, ``ui<W>`` or a machine integer."""
    if not isinstance(type, TensorType):
        return False
    return isinstance(type.format, Code) or (isinstance(type.format, Dtype) and not type.format.is_float)


def interval_of(type: TensorType) -> Interval:
    """Every integer of a type."""
    if isinstance(type.format, Code):
        return Interval.of(type.format)
    return Interval(int(type.format.min), min(int(type.format.max), CARRIER.max))


def carrier(found: Interval, what: str) -> Interval:
    """``found``, which must lie in int64.

    Raises:
        OpError: if it does not.
    """
    if not found.within(CARRIER):
        raise OpError(f"{what} needs {found.width} bits, more than the 64 of the widest integer")
    return found

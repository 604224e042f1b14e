"""Functions of one number, to as many digits as a correctly rounded table needs."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mase.ir import Op
from mase.ir.ops import nn

__all__ = ["DIGITS", "float_function", "has_table", "precise"]

DIGITS = 60
"""The decimal digits that `precise` computes with; its results have 40 correct ones after the point."""

_ONE, _TWO = Decimal(1), Decimal(2)


def _erf(x: Decimal) -> Decimal:
    """The Taylor series, whose terms stay below 1e16 where it is used."""
    if abs(x) > 6:
        return (_ONE - _erfc_far(abs(x))).copy_sign(x)
    term = total = x
    square, n = x * x, 0
    while abs(term) > Decimal(10) ** -(DIGITS - 5):
        n += 1
        term *= -square / n
        total += term / (2 * n + 1)
    return total * 2 / _pi().sqrt()


def _erfc_far(x: Decimal) -> Decimal:
    """``erfc`` for ``x`` above 6, by its continued fraction from the innermost term outwards."""
    if x > 12:
        return Decimal(0)  # below 1e-63
    fraction = x
    for n in range(60, 0, -1):
        fraction = x + Decimal(n) / 2 / fraction
    return (-x * x).exp() / _pi().sqrt() / fraction


def _pi() -> Decimal:
    return Decimal("3.14159265358979323846264338327950288419716939937510582097494459")


def _sigmoid(x: Decimal) -> Decimal:
    return _ONE / (_ONE + (-x).exp()) if x > -1000 else Decimal(0)


def _tanh(x: Decimal) -> Decimal:
    return _TWO * _sigmoid(_TWO * x) - _ONE


def _gelu(x: Decimal, op: nn.Gelu) -> Decimal:
    if op.approximate == "tanh":
        return x * (_ONE + _tanh((_TWO / _pi()).sqrt() * (x + Decimal("0.044715") * x**3))) / 2
    return x * (_ONE + _erf(x / _TWO.sqrt())) / 2


def _softplus(x: Decimal, op: nn.Softplus) -> Decimal:
    scaled = x * Decimal(op.beta)
    if scaled > Decimal(op.threshold):
        return x
    return (_ONE + scaled.exp()).ln() / Decimal(op.beta)


def _elu(x: Decimal, alpha: Decimal, scale: Decimal = _ONE) -> Decimal:
    return scale * (x if x > 0 else alpha * (x.exp() - _ONE))


def _clip(x: Decimal, low: float, high: float) -> Decimal:
    return min(max(x, Decimal(low)), Decimal(high))


_SELU = Decimal("1.6732632423543772848170429916717"), Decimal("1.0507009873554804934193349852946")

_PRECISE: dict[type[Op], Callable[[Decimal, Any], Decimal]] = {
    nn.Relu: lambda x, op: max(x, Decimal(0)),
    nn.Relu6: lambda x, op: _clip(x, 0, 6),
    nn.LeakyRelu: lambda x, op: x if x > 0 else x * Decimal(op.negative_slope),
    nn.Elu: lambda x, op: _elu(x, Decimal(op.alpha)),
    nn.Selu: lambda x, op: _elu(x, *_SELU),
    nn.Hardtanh: lambda x, op: _clip(x, op.min_val, op.max_val),
    nn.Hardsigmoid: lambda x, op: _clip(x + 3, 0, 6) / 6,
    nn.Hardswish: lambda x, op: x * _clip(x + 3, 0, 6) / 6,
    nn.Gelu: _gelu,
    nn.Silu: lambda x, op: x * _sigmoid(x),
    nn.Tanh: lambda x, op: _tanh(x),
    nn.Sigmoid: lambda x, op: _sigmoid(x),
    nn.Softplus: _softplus,
    nn.Softsign: lambda x, op: x / (_ONE + abs(x)),
}

_FUNCTIONS: dict[type[Op], Callable[[Tensor, Any], Tensor]] = {
    nn.Relu: lambda x, op: F.relu(x),
    nn.Relu6: lambda x, op: F.relu6(x),
    nn.LeakyRelu: lambda x, op: F.leaky_relu(x, op.negative_slope),
    nn.Elu: lambda x, op: F.elu(x, op.alpha),
    nn.Selu: lambda x, op: F.selu(x),
    nn.Hardtanh: lambda x, op: F.hardtanh(x, op.min_val, op.max_val),
    nn.Hardsigmoid: lambda x, op: F.hardsigmoid(x),
    nn.Hardswish: lambda x, op: F.hardswish(x),
    nn.Gelu: lambda x, op: F.gelu(x, approximate=op.approximate),
    nn.Silu: lambda x, op: F.silu(x),
    nn.Tanh: lambda x, op: torch.tanh(x),
    nn.Sigmoid: lambda x, op: torch.sigmoid(x),
    nn.Softplus: lambda x, op: F.softplus(x, op.beta, op.threshold),
    nn.Softsign: lambda x, op: F.softsign(x),
}


def has_table(op: Op) -> bool:
    """Whether an op is a function of one number that tables are made of.

    Example:
        >>> has_table(nn.Gelu()), has_table(nn.Softmax())
        (True, False)
    """
    return type(op) in _PRECISE


def float_function(op: Op, x: Tensor) -> Tensor:
    """The function in floats.

    Args:
        op: an op with a table.
        x: any float tensor.

    Example:
        >>> float_function(nn.Sigmoid(), torch.zeros(1)).item()
        0.5
    """
    return _FUNCTIONS[type(op)](x, op)


def precise(op: Op, x: Decimal) -> Decimal:
    """The function to more than 40 digits after the point, within a context of `DIGITS`.

    Args:
        op: an op with a table.
        x: its operand.

    Example:
        >>> from decimal import localcontext
        >>> with localcontext() as context:
        ...     context.prec = DIGITS
        ...     print(f"{precise(nn.Gelu(), Decimal(1)):.40f}")
        0.8413447460685429485852325456320379224779
    """
    return _PRECISE[type(op)](x, op)

"""Tables hold the correctly rounded value of the function at every code."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import pytest
import torch

from mase.ir import Fixed, MaseError
from mase.ir.ops import nn
from mase.ir.ops.exact import Numbers
from mase.runtime.exact.scalars import float_function, precise
from mase.runtime.exact.tables import look_up, table_of, value_range
from tests.runtime.integers_only import integers_only

FUNCTIONS: list[Any] = [
    nn.Relu6(),
    nn.LeakyRelu(),
    nn.Elu(alpha=0.7),
    nn.Selu(),
    nn.Hardtanh(min_val=-0.3, max_val=1.7),
    nn.Hardsigmoid(),
    nn.Hardswish(),
    nn.Gelu(),
    nn.Gelu(approximate="tanh"),
    nn.Silu(),
    nn.Tanh(),
    nn.Sigmoid(),
    nn.Softplus(beta=1.5),
    nn.Softsign(),
]
FORMATS = [
    (Fixed(8, 4), Fixed(8, 6)),
    (Fixed(8, 2), Fixed(8, 3, rounding="half_up")),
    (Fixed(6, 9), Fixed(16, 14, rounding="floor")),
    (Fixed(8, 6, signed=False), Fixed(8, 8, signed=False)),
    (Fixed(5, -2, narrow=True), Fixed(4, 1)),
]


def correct(op: Any, code: int, source: Fixed, target: Fixed) -> int:
    """The entry by fractions of 60 digits, of which those beyond the 40th are noise."""
    with localcontext() as context:
        context.prec = 60
        value = precise(op, Decimal(code) / Decimal(2) ** source.frac)
    exact = round(Fraction(value) * 10**40) / Fraction(10**40) * Fraction(2) ** target.frac
    exact = Fraction(round(exact * 10**30), 10**30)
    rounded = {
        "half_even": round(exact),
        "half_up": math.floor(exact + Fraction(1, 2)),
        "floor": math.floor(exact),
    }[target.rounding]
    return min(max(rounded, target.code_min), target.code_max)


@pytest.mark.parametrize("op", FUNCTIONS, ids=str)
@pytest.mark.parametrize("formats", FORMATS, ids=str)
def test_every_entry_is_correctly_rounded(op: Any, formats: tuple[Fixed, Fixed]) -> None:
    source, target = formats
    expected = [correct(op, c, source, target) for c in range(source.code_min, source.code_max + 1)]
    assert table_of(op, source, target).tolist() == expected


@pytest.mark.parametrize("op", FUNCTIONS, ids=str)
def test_numbers_of_any_step(op: Any) -> None:
    """Codes less a zero point, of a scale in float32."""
    step, target = Fraction(float(torch.tensor(0.0371))), Fixed(8, 4)
    numbers = Numbers(-17, 238, step)
    with localcontext() as context:
        context.prec = 60
        values = [precise(op, Decimal(k * step.numerator) / step.denominator) for k in range(-17, 239)]
    expected = [min(max(round(Fraction(v) * 16), -128), 127) for v in values]
    assert table_of(op, numbers, target).tolist() == expected


@pytest.mark.parametrize("op", FUNCTIONS, ids=str)
def test_digits_agree_with_torch(op: Any) -> None:
    """The decimals are of the function that torch computes."""
    x = torch.linspace(-30, 30, 241, dtype=torch.float64)
    with localcontext() as context:
        context.prec = 60
        exact = torch.tensor([float(precise(op, Decimal(float(v)))) for v in x], dtype=torch.float64)
    torch.testing.assert_close(float_function(op, x), exact, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("op", FUNCTIONS, ids=str)
def test_half_a_step(op: Any) -> None:
    source, target = Fixed(14, 9), Fixed(16, 8)
    x = torch.arange(source.code_min, source.code_max + 1).double() * source.step
    error = table_of(op, source, target).double() * target.step - float_function(op, x)
    assert float(error.abs().max()) <= target.step / 2 + 1e-12


@pytest.mark.parametrize("op", [nn.Tanh(), nn.Sigmoid(), nn.Softplus(), nn.Elu(), nn.Hardsigmoid()], ids=str)
def test_monotone_where_the_function_is(op: Any) -> None:
    table = table_of(op, Fixed(12, 8), Fixed(8, 6))
    assert bool((table.diff() >= 0).all())


def test_ties_that_are_exact() -> None:
    """Sigmoid is exactly a half at 0, hardswish has ties at many codes: each rounding decides as it says."""
    for rounding, expected in (("half_even", 0), ("half_up", 1), ("floor", 0)):
        target = Fixed(8, 0, rounding=rounding)  # type: ignore[arg-type]
        assert table_of(nn.Sigmoid(), Fixed(4, 1), target)[8] == expected
    # hardswish(1.5) = 1.5 * 4.5 / 6 = 1.125 = 4.5 * 2**-2
    assert table_of(nn.Hardswish(), Fixed(4, 1), Fixed(8, 2))[8 + 3] == 4


def test_looking_up_is_integers_only_and_saturates() -> None:
    table = table_of(nn.Gelu(), Fixed(4, 1), Fixed(8, 4))
    with integers_only():
        found = look_up(torch.tensor([[-100, -8], [7, 100]]), table, -8)
    assert found.tolist() == [[int(table[0]), int(table[0])], [int(table[-1]), int(table[-1])]]


def test_refused() -> None:
    with pytest.raises(MaseError, match="at most 16 bits"):
        table_of(nn.Gelu(), Fixed(17, 8), Fixed(8, 4))
    with pytest.raises(MaseError, match="no function of one number"):
        value_range(nn.Softmax(), Fixed(8, 4))

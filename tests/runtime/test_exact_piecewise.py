"""Functions as straight lines: off by hardly more than rounding is, at every code of 16 bits."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
import torch

from mase.ir import Fixed, MaseError
from mase.ir.ops import nn
from mase.ir.ops.exact import Numbers
from mase.runtime.exact import execute
from mase.runtime.exact.piecewise import piecewise_of
from mase.runtime.exact.scalars import float_function
from mase.runtime.exact.tables import table_of
from tests.runtime.integers_only import integers_only
from tests.runtime.test_exact_tables import FUNCTIONS


def results(op: Any, source: Numbers, out: Fixed) -> tuple[torch.Tensor, Any, dict[str, torch.Tensor]]:
    made, roles = piecewise_of(op, source, out)
    codes = torch.arange(source.first, source.last + 1)
    with integers_only():
        found = execute(made, codes, **roles)
    return found, made, roles


@pytest.mark.parametrize("op", FUNCTIONS, ids=str)
def test_every_code_of_sixteen_bits(op: Any) -> None:
    source, out = Fixed(16, 11), Fixed(16, 11)
    found, made, roles = results(op, Numbers.of(source), out)
    x = torch.arange(-(2**15), 2**15).double() * source.step
    exact = (float_function(op, x) / out.step).clamp(out.code_min, out.code_max)
    error = float((found.double() - exact).abs().max())
    assert error == pytest.approx(made.error, abs=1e-4)
    assert error <= 0.5 + 1 / 16 + 1 / 64
    assert float((found - table_of(op, source, out)).abs().max()) <= 1
    assert sum(map(len, roles.values())) < 2**16 / 8  # that it is for


@pytest.mark.parametrize("rounding", ["half_up", "floor"])
def test_other_roundings(rounding: Any) -> None:
    source, out = Numbers.of(Fixed(14, 10)), Fixed(12, 8, rounding=rounding)
    found, made, _ = results(nn.Silu(), source, out)
    table = table_of(nn.Silu(), source, out)
    assert float((found - table).abs().max()) <= 1
    assert float((found != table).double().mean()) < 0.1
    assert made.error <= (1.0 if rounding == "floor" else 0.5) + 0.08


def test_wide_ranges_take_few_lines() -> None:
    """Where the function is a line, or saturates, one line is enough."""
    for frac in (4, 8, 12):
        _, made, roles = results(nn.Gelu(), Numbers.of(Fixed(16, frac)), Fixed(16, min(frac, 8)))
        assert made.error <= 0.58
        assert len(roles["slope"]) < 1000


def test_codes_with_a_zero_point_and_beyond_the_table() -> None:
    numbers = Numbers(-1000, 7000, Fraction(float(torch.tensor(0.00137))))
    made, roles = piecewise_of(nn.Tanh(), numbers, Fixed(16, 15))
    ends = execute(made, torch.tensor([-5000, -1000, 7000, 9000]), **roles).tolist()
    assert ends[:2] == [ends[0]] * 2
    assert ends[2:] == [ends[2]] * 2
    assert made.error <= 0.58


@pytest.mark.slow
def test_twenty_four_bits() -> None:
    for op in (nn.Gelu(), nn.Sigmoid()):
        made, roles = piecewise_of(op, Numbers.of(Fixed(24, 20)), Fixed(16, 12))
        assert made.error <= 0.58
        assert len(roles["slope"]) < 2000


def test_refused() -> None:
    with pytest.raises(MaseError, match="at most 24 bits"):
        piecewise_of(nn.Gelu(), Numbers.of(Fixed(25, 8)), Fixed(8, 4))
    with pytest.raises(MaseError, match="no function of one number"):
        piecewise_of(nn.Softmax(), Numbers.of(Fixed(16, 8)), Fixed(8, 4))

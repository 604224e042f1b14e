"""Integer softmax: within the bound that its docstring states, exact zeros, monotone, integers only."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mase.ir import Fixed, MaseError
from mase.ir.ops.exact.softmax import Softmax, power_table
from mase.runtime.exact.softmax import softmax
from tests.runtime.integers_only import integers_only

U8, U16 = Fixed(8, 8, signed=False), Fixed(16, 16, signed=False)


def by_hand(row: list[int], p: Softmax) -> list[int]:
    """The definition, in Python's integers."""
    table = power_table(p.fraction)
    powers = list[int]()
    for code in row:
        octaves = (min(max(row) - code, p.limit) * p.multiplier + 2 ** (p.shift - 1)) // 2**p.shift
        whole, part = divmod(octaves, 2**p.fraction)
        powers.append(table[part] // 2**whole)
    one_over = (2**62 + sum(powers) // 2) // sum(powers)
    unit = 2 ** (62 - p.out.frac)
    found = list[int]()
    for power in powers:
        below, rest = divmod(power * one_over, unit)
        found.append(min(below + (2 * rest > unit or (2 * rest == unit and below % 2 == 1)), p.out.code_max))
    return found


@given(
    st.lists(st.integers(-(2**15), 2**15 - 1), min_size=1, max_size=20),
    st.integers(0, 24),
    st.sampled_from([U8, U16, Fixed(8, 6), Fixed(4, 2)]),
)
def test_is_the_definition(row: list[int], frac: int, out: Fixed) -> None:
    p = Softmax.of(2.0**-frac, out)
    with integers_only():
        found = softmax(p, torch.tensor(row))
    assert found.tolist() == by_hand(row, p)


def bound(weights: Tensor, p: Softmax, count: int) -> Tensor:
    return p.out.step / 2 + weights * 2.0**-p.fraction + (count + 1) * 2.0**-29


def check_error(codes: Tensor, step: float, out: Fixed) -> float:
    p = Softmax.of(step, out)
    exact = (codes.double() * step).softmax(-1)
    expected = exact.clamp(max=out.max)  # the largest code saturates
    error = (softmax(p, codes).double() * out.step - expected).abs()
    assert bool((error <= bound(exact, p, codes.shape[-1]) + 1e-14).all())
    return float(error.max())


@pytest.mark.parametrize("out", [U8, U16, Fixed(8, 6), Fixed(16, 14)], ids=str)
@pytest.mark.parametrize("step", [2.0**-4, 2.0**-8 / math.sqrt(3), 2.0**-14 * 0.125, 0.7, 2.0**-20])
def test_error_is_within_the_bound(step: float, out: Fixed) -> None:
    generator = torch.manual_seed(0)
    for count in (1, 2, 7, 100, 1000):
        for spread in (0.1, 1.0, 10.0):
            codes = (torch.randn(8, count, generator=generator) * spread / step).long()
            check_error(codes, step, out)


def test_every_pair_of_4_bit_scores() -> None:
    """All rows of three scores of 4 bits."""
    codes = torch.cartesian_prod(*[torch.arange(-8, 8)] * 3)
    for frac in (0, 1, 2, 3):
        check_error(codes, 2.0**-frac, U8)


@settings(max_examples=50)
@given(st.lists(st.integers(-(2**40), 2**40), min_size=2, max_size=30), st.integers(0, 36))
def test_monotone(row: list[int], frac: int) -> None:
    p = Softmax.of(2.0**-frac, U8)
    codes = torch.tensor(sorted(row))
    assert bool((softmax(p, codes).diff() >= 0).all())


def test_does_not_depend_on_an_offset() -> None:
    p = Softmax.of(2.0**-5, U8)
    codes = torch.randint(-500, 500, (4, 9), generator=torch.manual_seed(1))
    assert torch.equal(softmax(p, codes), softmax(p, codes + 2**50))


def test_dimension() -> None:
    p, second = Softmax.of(2.0**-5, U8), Softmax.of(2.0**-5, U8, dim=1)
    codes = torch.randint(-99, 99, (3, 4, 5), generator=torch.manual_seed(1))
    assert torch.equal(softmax(second, codes), softmax(p, codes.transpose(1, 2)).transpose(1, 2))


class TestMasks:
    p = Softmax.of(2.0**-4, U16)

    def test_masked_out_is_exactly_zero_and_does_not_count(self) -> None:
        codes = torch.tensor([[5, 900, -3, 20]])  # the largest is masked out
        keep = torch.tensor([True, False, True, True])
        with integers_only():
            found = softmax(self.p, codes, keep)
        assert found[0, 1] == 0
        assert torch.equal(found[:, keep], softmax(self.p, codes[:, keep]))

    def test_a_row_that_keeps_nothing_is_zero(self) -> None:
        codes = torch.tensor([[5, 900], [1, 2]])
        keep = torch.tensor([[False, False], [True, True]])
        found = softmax(self.p, codes, keep)
        assert found[0].tolist() == [0, 0]
        assert torch.equal(found[1], softmax(self.p, codes[1]))

    def test_far_below_is_zero(self) -> None:
        codes = torch.tensor([0, -(2**40)])
        assert softmax(self.p, codes).tolist() == [U16.code_max, 0]


def test_refused() -> None:
    for step in (0.0, -1.0, math.inf, 2.0**40, 2.0**-60):
        with pytest.raises(MaseError, match="leaves the range"):
            Softmax.of(step, U8)


def test_powers_are_correctly_rounded() -> None:
    for fraction in (0, 1, 8, 12):
        exact: Any = [2.0 ** (30 - i / 2**fraction) for i in range(2**fraction)]
        assert all(abs(a - b) <= 0.5 + 1e-5 for a, b in zip(power_table(fraction), exact, strict=True))

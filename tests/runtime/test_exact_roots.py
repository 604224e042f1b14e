"""Roots, reciprocals and shifts, against Python's own integers and fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mase.ir import Fixed
from mase.runtime.exact.roots import reciprocal, square_root
from mase.runtime.exact.rounding import shifted, to_format
from tests.runtime.integers_only import integers_only


def roots(numbers: list[int]) -> list[int]:
    with integers_only():
        return square_root(torch.tensor(numbers)).tolist()


def test_every_small_root() -> None:
    n = torch.arange(2**17)
    assert square_root(n).tolist() == [math.isqrt(i) for i in range(2**17)]


def test_roots_beside_squares() -> None:
    """One below a square, a square, one above: of roots of every length, at both ends of it."""
    near = {2**k + d for k in range(31) for d in (-2, -1, 0, 1, 2)} | {
        round(2 ** (k / 7)) for k in range(217)
    }
    numbers = sorted({max(r * r + d, 0) for r in near if 0 <= r < 2**31 for d in (-1, 0, 1)} | {2**62 - 1})
    assert roots(numbers) == [math.isqrt(n) for n in numbers]


@given(st.lists(st.integers(0, 2**62 - 1), min_size=1))
def test_any_root(numbers: list[int]) -> None:
    assert roots(numbers) == [math.isqrt(n) for n in numbers]


@given(st.lists(st.integers(1, 2**62 - 1), min_size=1), st.integers(0, 62))
def test_reciprocals(numbers: list[int], bits: int) -> None:
    with integers_only():
        found = reciprocal(torch.tensor(numbers), bits).tolist()
    assert found == [math.floor(Fraction(2**bits, n) + Fraction(1, 2)) for n in numbers]


@given(st.lists(st.integers(-(2**60), 2**60), min_size=1), st.integers(0, 60))
def test_shifts(numbers: list[int], bits: int) -> None:
    x = torch.tensor(numbers)
    exact = [Fraction(n, 2**bits) for n in numbers]
    with integers_only():
        even, up, down = (shifted(x, bits, r).tolist() for r in ("half_even", "half_up", "floor"))
    assert even == [round(e) for e in exact]
    assert up == [math.floor(e + Fraction(1, 2)) for e in exact]
    assert down == [math.floor(e) for e in exact]


@pytest.mark.parametrize("frac", [-3, 0, 4, 7, 60])
def test_formats_saturate(frac: int) -> None:
    out = Fixed(6, 4, narrow=True)
    codes = torch.tensor([-(2**61), -500, -31, -7, 0, 3, 5, 31, 32, 2**61])
    exact = [Fraction(int(c)) / Fraction(2) ** frac * 16 for c in codes]
    assert to_format(codes, frac, out).tolist() == [min(max(round(e), -31), 31) for e in exact]

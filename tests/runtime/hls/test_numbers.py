"""Ranges against all their numbers, and types against what they must hold."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mase.ir import parse_format
from mase.ir.formats import Fixed
from mase.runtime.hls.numbers import Range, on_grid, type_of_format

ends = st.tuples(st.integers(-9, 9), st.integers(-9, 9)).map(sorted)
ranges = st.builds(lambda frac, lh: Range(frac, *lh), st.integers(-2, 3), ends)


def values(r: Range) -> list[float]:
    return [k * 2.0**-r.frac for k in range(r.low, r.high + 1)]


@given(ranges, ranges)
def test_ranges_hold_what_they_are_made_of(a: Range, b: Range) -> None:
    pairs = list(itertools.product(values(a), values(b)))
    for made, numbers in (
        (a.plus(b), [x + y for x, y in pairs]),
        (a.minus(b), [x - y for x, y in pairs]),
        (a.times(b), [x * y for x, y in pairs]),
        (a.hull(b), values(a) + values(b)),
    ):
        assert min(numbers) == made.low * 2.0**-made.frac
        assert max(numbers) == made.high * 2.0**-made.frac


@given(ranges)
def test_the_type_holds_the_range_and_no_narrower_one_does(r: Range) -> None:
    kind, arguments = str(r).rstrip(">").split("<")
    width, whole = map(int, arguments.split(","))

    def holds(bits: int) -> bool:
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if kind == "fixed" else (0, 2**bits - 1)
        return low <= r.low and r.high <= high

    assert holds(width)
    assert width - whole == r.frac
    assert width == 1 or not holds(width - 1)


@given(ranges, st.lists(st.lists(st.integers(-5, 5), min_size=2, max_size=2), min_size=1, max_size=3))
def test_sums_of_products_reach_their_ends(r: Range, weights: list[list[int]]) -> None:
    made = r.sums(np.array(weights), 1)
    numbers = [w[0] * a + w[1] * b for w in weights for a in (r.low, r.high) for b in (r.low, r.high)]
    assert (min(numbers), max(numbers)) == (made.low, made.high)


@pytest.mark.parametrize(
    ("text", "type"),
    [
        ("fixed<8,4,narrow>", "fixed<8,4,RND_CONV,SAT_SYM>"),
        ("fixed<8,10,half_up>", "fixed<8,-2,RND,SAT>"),
        ("ufixed<6,-1,floor>", "ufixed<6,7,TRN,SAT>"),
    ],
)
def test_formats_say_their_rounding_and_saturation(text: str, type: str) -> None:
    format = parse_format(text)
    assert isinstance(format, Fixed)
    assert type_of_format(format) == type


@given(st.lists(st.integers(-(2**20), 2**20), min_size=1), st.integers(0, 40))
def test_numbers_are_found_on_their_grid(codes: list[int], frac: int) -> None:
    found, bits = on_grid(np.ldexp(np.array(codes, np.float64), -frac))
    assert np.array_equal(np.ldexp(found.astype(np.float64), -bits), np.ldexp(np.array(codes, float), -frac))
    assert bits <= frac


def test_numbers_without_a_common_last_bit_are_refused() -> None:
    with pytest.raises(ValueError, match="no grid"):
        on_grid(np.array([1.0, 1e-30]))

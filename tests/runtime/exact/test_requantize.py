"""`requantize` and `Dyadic` against exact rational arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mase.ir.format import ROUNDINGS, Rounding
from mase.ir.ops.exact import Dyadic, Interval, Requantization
from mase.runtime.exact import requantize

roundings = st.sampled_from(ROUNDINGS)
multipliers = st.one_of(st.just(1), st.integers(1, 2**31 - 1), st.integers(2**30, 2**31 - 1))


def rational(value: Fraction, rounding: Rounding) -> int:
    """The textbook's rounding."""
    match rounding:
        case "half_even":
            return round(value)
        case "half_up":
            return math.floor(value + Fraction(1, 2))
        case "floor":
            return math.floor(value)


def expected(code: int, to: Requantization, multiplier: int, shift: int) -> int:
    value = (code - to.source_zero_point) * multiplier * Fraction(2) ** -shift
    return min(max(rational(value, to.rounding) + to.zero_point, to.min), to.max)


@st.composite
def records(draw: st.DrawFn) -> Requantization:
    width = draw(st.integers(1, 16))
    signed = draw(st.booleans())
    span = Interval.of(Requantization(width=width, signed=signed, min=0, max=0).format)
    low, high = sorted(draw(st.tuples(*[st.integers(span.min, span.max)] * 2)))
    return Requantization(
        width=width,
        signed=signed,
        min=low,
        max=high,
        multiplier=draw(multipliers),
        shift=draw(st.integers(-20, 62)),
        rounding=draw(roundings),
        zero_point=draw(st.integers(0, 255)),
        source_zero_point=draw(st.integers(0, 255)),
    )


@given(records(), st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1))
def test_is_the_rational_definition(to: Requantization, codes: list[int]) -> None:
    codes = [c for c in codes if to.fits(Interval(c, c), to.multiplier, to.shift)]
    want = [expected(c, to, to.multiplier, to.shift) for c in codes]
    assert [to.apply(c) for c in codes] == want
    assert requantize(torch.tensor(codes, dtype=torch.int64), to).tolist() == want


@given(
    records(),
    st.lists(
        st.tuples(st.integers(-(2**30), 2**30), multipliers, st.integers(-20, 62)), min_size=1, max_size=8
    ),
)
def test_channels_have_their_own(to: Requantization, channels: list[tuple[int, int, int]]) -> None:
    codes, by, shifts = (list(column) for column in zip(*channels, strict=True))
    got = requantize(torch.tensor([codes, codes]), to, torch.tensor(by), torch.tensor(shifts), axis=1)
    want = [expected(c, to, m, s) for c, m, s in channels]
    assert got.tolist() == [want, want]
    assert [to.apply(c, m, s) for c, m, s in channels] == want


@given(
    roundings,
    st.integers(1, 2**52 - 1),
    st.integers(27, 87),
    st.lists(st.integers(-(2**34), 2**34), min_size=1),
    st.integers(-300, 300),
)
def test_long_multipliers(rounding: Rounding, by: int, shift: int, codes: list[int], near: int) -> None:
    """In two parts, of codes anywhere and of those whose products lie next to a tie."""
    to = Requantization(
        width=16, min=-(2**15), max=2**15 - 1, multiplier=by, shift=shift, rounding=rounding, wide=True
    )
    codes += [c for k in (near, near + 1) if abs(c := ((2 * k + 1) << shift) // (2 * by)) <= 2**34]
    codes = [c for c in codes if to.fits(Interval(c, c), by, shift)]
    want = [expected(c, to, by, shift) for c in codes]
    assert [to.apply(c) for c in codes] == want
    assert requantize(torch.tensor(codes, dtype=torch.int64), to).tolist() == want
    channels = torch.tensor([by] * len(codes)), torch.tensor([shift] * len(codes))
    if codes:
        assert requantize(torch.tensor(codes), to, *channels, axis=0).tolist() == want


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("shift", range(-3, 9))
def test_every_code_of_ten_bits(rounding: Rounding, shift: int) -> None:
    """Ties, carries into the next power of two, and saturation, exhaustively."""
    to = Requantization(width=6, min=-32, max=31, shift=shift, rounding=rounding)
    codes = torch.arange(-512, 512)
    assert requantize(codes, to).tolist() == [expected(int(c), to, 1, shift) for c in codes]


@given(st.fractions(min_value=Fraction(1, 2**40), max_value=2**20), st.integers(2, 31))
def test_dyadic_is_the_nearest(value: Fraction, bits: int) -> None:
    found = Dyadic.nearest(value, bits)
    assert found.multiplier < 2**bits
    assert found.multiplier % 2 == 1
    assert abs(found.value - value) <= value / 2**bits


@given(st.integers(1, 2**31 - 1), st.integers(-20, 40))
def test_dyadic_keeps_what_it_can_hold(multiplier: int, shift: int) -> None:
    value = multiplier * Fraction(2) ** -shift
    assert Dyadic.nearest(value).value == value


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"multiplier": 0}, "multiplier"),
        ({"multiplier": 2**31}, "multiplier"),
        ({"shift": 63}, "shift"),
        ({"max": 128}, "does not fit into si<8>"),
        ({"rounding": "up"}, "rounding"),
    ],
)
def test_a_record_that_nothing_executes(fields: dict[str, int], message: str) -> None:
    known: dict[str, int] = {"width": 8, "min": -128, "max": 127}
    with pytest.raises(ValueError, match=message):
        Requantization(**(known | fields))  # type: ignore[arg-type]

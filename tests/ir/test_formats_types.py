"""Formats, dimensions and types: their text and their arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mase.ir import Dtype, Fixed, FixedWidth, MaseError, format_from_keys, parse_dim, parse_format, parse_type

TEXTS = [
    *("f32", "f16", "bf16", "f64", "i8", "i64", "u8", "bool"),
    *("fixed<8,4>", "ufixed<8,8>", "fixed<8,-3>", "fixed<8,4,narrow>", "fixed<8,4,half_up>"),
    *("fixed<8,4,narrow,floor>", "fixed<8>", "ufixed<4,half_up>"),
]


@pytest.mark.parametrize("text", TEXTS)
def test_canonical_text_round_trips(text: str) -> None:
    assert str(parse_format(text)) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fixed<0,4>", "a width of 1 to 32"),
        ("fixed<33,4>", "a width of 1 to 32"),
        ("fixed<8,4,halfup>", "'halfup' is unknown"),
        ("fixed", "expected fixed<W,F>"),
        ("f32<1>", "takes no arguments"),
        ("fixd<8,4>", "did you mean 'fixed'?"),
        ("ufixed<8,4,narrow>", "narrow is for signed"),
        ("fixed<8,4", "malformed"),
        ("fixed<half_up,8>", "expected fixed<W,F>"),
    ],
)
def test_bad_formats_say_what_was_expected(text: str, message: str) -> None:
    with pytest.raises(MaseError) as caught:
        parse_format(text)
    assert message in str(caught.value)


def test_keyed_style() -> None:
    assert format_from_keys("integer", {"width": 8, "frac_width": 4}) == Fixed(8, 4)
    assert format_from_keys("fixed", {"width": 8, "signed": False}) == FixedWidth(8, signed=False)
    with pytest.raises(MaseError, match="expected keys"):
        format_from_keys("integer", {"width": 8, "frac": 4})


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("narrow", [True, False])
@pytest.mark.parametrize("width", [1, 2, 3, 8, 32])
def test_fixed_range(width: int, signed: bool, narrow: bool) -> None:
    if narrow and (not signed or width == 1):
        return
    for frac in (-3, 0, 4, 40):
        f = Fixed(width, frac, signed, narrow)
        codes = range(-(2 ** (width - 1)) + narrow, 2 ** (width - 1)) if signed else range(2**width)
        assert Fraction(f.min) == Fraction(codes[0]) / Fraction(2) ** frac
        assert Fraction(f.max) == Fraction(codes[-1]) / Fraction(2) ** frac
        assert all(f.contains(v) for v in (f.min, f.max))
        assert not any(f.contains(v) for v in (f.max + f.step, f.step / 2, math.nan, math.inf))


@given(
    st.floats(-1e30, 1e30, allow_subnormal=False),
    st.floats(-1e30, 1e30, allow_subnormal=False),
    st.integers(2, 32),
    st.booleans(),
)
def test_fit_is_the_largest_fraction_without_overflow(a: float, b: float, width: int, signed: bool) -> None:
    low, high = sorted((a, b))
    if not signed:
        low, high = 0.0, abs(high)
    f = FixedWidth(width, signed).fit(low, high)
    held = [low, high] if signed else [high]
    assert all(f.min <= v <= f.max for v in held) or f.frac == -126
    if any(held) and f.frac < 126:
        finer = Fixed(width, f.frac + 1, signed)
        assert any(not finer.min <= v <= finer.max for v in held)


@pytest.mark.parametrize("name", ["f64", "f32", "f16", "bf16"])
def test_float_ranges_are_torchs(name: str) -> None:
    import torch

    f = Dtype(name)
    info = torch.finfo(getattr(torch, f.torch_name))
    assert (f.min, f.max, f.bits) == (info.min, info.max, info.bits)
    assert all(f.contains(v) for v in (info.tiny, info.max))


@pytest.mark.parametrize("name", ["i8", "i16", "i32", "i64", "u8"])
def test_integer_ranges_are_torchs(name: str) -> None:
    import torch

    f = Dtype(name)
    info = torch.iinfo(getattr(torch, f.torch_name))
    assert (f.min, f.max, f.bits) == (float(info.min), float(info.max), info.bits)


DIMS = st.recursive(
    st.one_of(st.integers(0, 9).map(str), st.sampled_from(["N", "M"])),
    lambda d: st.one_of(
        st.tuples(d, st.sampled_from(["+", "-", "*"]), d).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(d, st.sampled_from(["//", "%"]), st.integers(1, 5)).map(
            lambda t: f"({t[0]} {t[1]} {t[2]})"
        ),
        st.tuples(d, d).map(lambda t: f"max({t[0]}, {t[1]})"),
    ),
    max_leaves=6,
)


@given(DIMS, st.integers(1, 50), st.integers(1, 50))
def test_dimensions_mean_what_python_means(text: str, n: int, m: int) -> None:
    value = parse_dim(text)
    expected = eval(text, {"N": n, "M": m, "max": max})
    found = value if isinstance(value, int) else value.evaluate({"N": n, "M": m})
    assert found == expected
    assert parse_dim(str(value)) == value


@pytest.mark.parametrize(
    "text", ["f32[N,256]", "i64[]", "(f32[N], (int, bool))", "int(2*N)", "none", "fixed<8,4>[2]"]
)
def test_types_round_trip(text: str) -> None:
    assert str(parse_type(text)) == text


@pytest.mark.parametrize("text", ["f32", "f32[N", "f32[-1]", "flot[2]", "f32[N!]", "f32[1.5]"])
def test_bad_types(text: str) -> None:
    with pytest.raises(MaseError):
        parse_type(text)

"""Small floats: other people's types bit for bit, and rational arithmetic where there are none."""

import math
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mase.ir import MaseError, parse_format
from mase.ir.format import ROUNDINGS
from mase.ir.formats import Denorm, Float, Minifloat, OcpFloat
from mase.runtime.kernels import decode, encode, fake_quantize, quantize
from tests.numerics import families
from tests.numerics.families import around, decisive_bits, f32_bits, moderate, random_bits, same_bits

TORCH = {"fp8_e4m3fn": torch.float8_e4m3fn, "fp8_e5m2": torch.float8_e5m2}
ML_DTYPES = {
    "fp8_e4m3fn": ml_dtypes.float8_e4m3fn,
    "fp8_e5m2": ml_dtypes.float8_e5m2,
    "fp6_e3m2": ml_dtypes.float6_e3m2fn,
    "fp6_e2m3": ml_dtypes.float6_e2m3fn,
    "fp4_e2m1": ml_dtypes.float4_e2m1fn,
}
SMALL = [
    *("float<4,3>", "float<5,2>", "float<2,1>", "float<3,4>", "float<1,6>", "float<7,0>", "float<1,0>"),
    *("float<4,3,bias=11>", "float<3,2,bias=-4>", "float<2,2,bias=0>"),
    *("denorm<8,4>", "denorm<8,2>", "denorm<4,2>", "denorm<6,4>", "denorm<5,1>", "denorm<8,3,bias=9>"),
    *ML_DTYPES,
]

_DECISIVE = decisive_bits()


def _samples(text: str) -> torch.Tensor:
    codes = torch.arange(2 ** parse_format(text).bits)
    return torch.cat([around(decode(codes, text)), random_bits(100_000), _DECISIVE])


@pytest.mark.parametrize("text", TORCH)
def test_agrees_with_torch(text: str) -> None:
    dtype = TORCH[text]
    codes = torch.arange(256, dtype=torch.uint8)
    assert same_bits(decode(codes, text), codes.view(dtype).float())
    x = _samples(text)
    limit = torch.finfo(dtype).max
    expected = x.clamp(-limit, limit).to(dtype)
    assert same_bits(quantize(x, text), expected.float())
    assert torch.equal(encode(x, text), expected.view(torch.uint8))
    nan = torch.tensor([math.nan])
    assert quantize(nan, text).isnan().all()
    assert encode(nan, text).item() == nan.to(dtype).view(torch.uint8).item()


@pytest.mark.parametrize("text", ML_DTYPES)
def test_agrees_with_ml_dtypes(text: str) -> None:
    dtype = ML_DTYPES[text]
    codes = np.arange(2 ** parse_format(text).bits, dtype=np.uint8)
    values = decode(torch.from_numpy(codes), text)
    assert same_bits(values, torch.from_numpy(codes.view(dtype).astype(np.float32)))
    limit = float(ml_dtypes.finfo(dtype).max)
    assert parse_format(text).max == limit
    x = _samples(text).clamp(-limit, limit)
    expected = x.numpy().astype(dtype)
    assert same_bits(quantize(x, text), torch.from_numpy(expected.astype(np.float32)))
    assert torch.equal(encode(x, text), torch.from_numpy(expected.view(np.uint8)))


@pytest.mark.parametrize("dtype", [ml_dtypes.float8_e3m4, ml_dtypes.float8_e4m3])
def test_below_the_infinities_ieee_floats_are_the_same(dtype: type) -> None:
    info = ml_dtypes.finfo(dtype)
    exponent, fraction = 7 - info.nmant, info.nmant
    limit = float(info.max)
    x = random_bits(50_000).clamp(-limit, limit)
    expected = torch.from_numpy(x.numpy().astype(dtype).astype(np.float32))
    assert same_bits(quantize(x, Float(exponent, fraction)), expected)


@pytest.mark.parametrize("text", SMALL)
def test_every_code(text: str) -> None:
    format = parse_format(text)
    codes = torch.arange(2**format.bits)
    values = decode(codes, text)
    finite = values.isfinite()
    assert values[finite].max() == format.max
    assert values[finite].min() == format.min
    assert all(format.contains(v) == math.isfinite(v) for v in values.tolist())
    assert same_bits(decode(encode(values[finite], text), text), values[finite])
    assert same_bits(quantize(values[finite], text), values[finite])
    if isinstance(format, Float | OcpFloat):
        assert torch.equal(encode(values[finite], text).long(), codes[finite])


@pytest.mark.parametrize("text", [t for t in SMALL if t.startswith("float")])
def test_codes_mean_what_the_definition_says(text: str) -> None:
    format = parse_format(text)
    assert isinstance(format, Float)
    expected = families.minifloat_magnitudes(format.exponent, format.fraction, format.exponent_bias)
    assert [Fraction(v) for v in decode(torch.arange(len(expected)), text).tolist()] == expected


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("text", SMALL)
def test_rounds_as_rational_arithmetic(text: str, rounding: str) -> None:
    format = parse_format(text).with_rounding(rounding)
    assert isinstance(format, Minifloat)
    magnitudes = sorted({abs(Fraction(v)) for v in _finite_values(text)})
    x = torch.cat([around(decode(torch.arange(2**format.bits), text)), random_bits(200)])
    x = x[x.isfinite()]
    found = quantize(x, format)
    powers = format.fraction_bits == 0
    expected = [families.nearest(Fraction(v), magnitudes, rounding, powers) for v in x.tolist()]
    assert [Fraction(v) for v in found.tolist()] == expected
    assert torch.equal(found.signbit(), x.signbit()) or rounding != "half_even"
    assert same_bits(decode(encode(x, format), format), found)


def _finite_values(text: str) -> list[float]:
    values = decode(torch.arange(2 ** parse_format(text).bits), text)
    return values[values.isfinite()].tolist()


@given(st.one_of(f32_bits(), moderate()), st.integers(1, 5), st.integers(1, 8), st.integers(-3, 12))
def test_denorm_by_its_table_row(x: float, exponent: int, mantissa: int, bias: int) -> None:
    format = Denorm(1 + exponent + mantissa, exponent, bias)
    exact = Fraction(x) if math.isfinite(x) else Fraction(format.max) * (1 if x > 0 else -1)
    expected = families.denorm(exact, format.width, exponent, bias)
    assert Fraction(quantize(torch.tensor([x]), format).item()) == expected


def test_carries_are_kept() -> None:
    assert quantize(torch.tensor([1.0, 0.999]), "denorm<8,4>").tolist() == [1.0, 1.0]
    assert quantize(torch.tensor([1.97, 479.0, 481.0]), "float<4,3>").tolist() == [2.0, 480.0, 480.0]


@pytest.mark.parametrize("text", ["float<5,10>", "float<8,7>", "float<8,23>", "float<6,22>", "denorm<20,5>"])
def test_wide_ones(text: str) -> None:
    format = parse_format(text)
    x = random_bits(20_000)
    found = quantize(x, text)
    wide = quantize(x.double(), text)
    inside = wide.abs() <= torch.finfo(torch.float32).max
    assert torch.equal(found.double()[inside], wide[inside])
    assert torch.equal(decode(encode(x, text), text).double(), quantize(x.double(), text))
    if text == "float<8,7>":
        below = x.abs() < 2.0**127
        assert same_bits(found[below], x[below].bfloat16().float())
    assert all(format.contains(v) for v in wide[:300].tolist())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("text", ["float<4,3>", "float<5,2>", "denorm<8,6>", "fp8_e5m2", "float<4,12>"])
def test_other_types_see_the_same_grid(text: str, dtype: torch.dtype) -> None:
    x = (torch.randn(5000, generator=torch.manual_seed(1)) * 300).to(dtype)
    found = quantize(x, text)
    assert found.dtype == dtype
    wide = quantize(x.double(), text)
    assert torch.equal(found.double(), wide.to(dtype).double().clamp(found.min(), found.max()))
    beyond = quantize(torch.tensor([torch.inf, -torch.inf], dtype=dtype), text).tolist()
    assert all(math.isfinite(v) and parse_format(text).contains(v) for v in beyond)


def test_nan_without_a_code() -> None:
    with pytest.raises(MaseError, match="NaN has no code in float<4,3>"):
        encode(torch.tensor([math.nan]), "float<4,3>")
    assert quantize(torch.tensor([math.nan]), "fp4_e2m1").isnan().all()


def test_gradient_passes_inside_the_range() -> None:
    x = torch.tensor([6.0, -6.0, 6.1, -math.inf, 0.0], requires_grad=True)
    fake_quantize(x, "fp4_e2m1").sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1, 1, 0, 0, 1]

"""Formats whose blocks share a scale, by rational arithmetic over each block."""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mase.ir import parse_format
from mase.ir.format import ROUNDINGS
from mase.ir.formats import Block
from mase.runtime.kernels import Encoded, Scale, decode, encode, fake_quantize, quantize, scale_of
from tests.numerics import families
from tests.numerics.families import TWO, f32_bits, floor_log2, moderate, same_bits

Oracle = Callable[[Sequence[float], str], list[Fraction]]
SIZE = 4


def _clip(value: int, low: int, high: int) -> int:
    return max(low, min(value, high))


def _scaled(magnitudes: list[Fraction], top: int, low: int, high: int) -> Oracle:
    """``x / X`` in the element format, ``X = 2**(floor(log2 max) - top)``, for a block."""

    def oracle(block: Sequence[float], rounding: str) -> list[Fraction]:
        most = families.largest(block)
        scale = TWO ** (_clip(floor_log2(most) - top, low, high) if most else low)
        grid = [m * scale for m in magnitudes]
        return families.each(block, lambda v: families.nearest(v, grid, rounding), 2 * grid[-1])

    return oracle


def _float(exponent: int, fraction: int, largest: float) -> list[Fraction]:
    found = families.minifloat_magnitudes(exponent, fraction, 2 ** (exponent - 1) - 1)
    return [m for m in found if m <= Fraction(largest)]


def _mx(exponent: int, fraction: int, largest: float) -> Oracle:
    return _scaled(_float(exponent, fraction, largest), math.frexp(largest)[1] - 1, -127, 127)


def _mxint(width: int) -> Oracle:
    return _scaled([k * TWO ** -(width - 2) for k in range(2 ** (width - 1))], 0, -127, 127)


def _bfp(width: int, exponent: int) -> Oracle:
    """Elements ``m * 2**(e-W+2)``, that is integers scaled by a power of two."""
    bias = 2 ** (exponent - 1) - 1
    magnitudes = [m * TWO ** (2 - width) for m in range(2 ** (width - 1))]
    return _scaled(magnitudes, 0, -bias, 2**exponent - 1 - bias)


def _bminifloat(width: int, exponent: int, bias_width: int) -> Oracle:
    def oracle(block: Sequence[float], rounding: str) -> list[Fraction]:
        most, last = families.largest(block), 2**bias_width - 1
        bias = _clip(2**exponent - 1 - floor_log2(most), 0, last) if most else last
        grid = families.minifloat_magnitudes(exponent, width - exponent - 1, bias)
        return families.each(block, lambda v: families.nearest(v, grid, rounding), 2 * grid[-1])

    return oracle


def _blog(width: int, bias_width: int) -> Oracle:
    def oracle(block: Sequence[float], rounding: str) -> list[Fraction]:
        most, last = families.largest(block), 2**bias_width - 1
        ceil = floor_log2(most) + (TWO ** floor_log2(most) != most) if most else 0
        bias = _clip(2 ** (width - 1) - 1 - ceil, 0, last) if most else last
        high = 2 ** (width - 1) - 1 - bias
        return families.each(block, lambda v: families.log(v, -bias, high, rounding), TWO ** (high + 1))

    return oracle


CASES: dict[str, Oracle] = {
    "mxfp8_e4m3": _mx(4, 3, 448.0),
    "mxfp8_e5m2": _mx(5, 2, 57344.0),
    "mxfp6_e3m2": _mx(3, 2, 28.0),
    "mxfp6_e2m3": _mx(2, 3, 7.5),
    "mxfp4": _mx(2, 1, 6.0),
    "mxint<8,B>": _mxint(8),
    "mxint<4,B>": _mxint(4),
    "bfp<8,8,B>": _bfp(8, 8),
    "bfp<4,3,B>": _bfp(4, 3),
    "bfp<2,5,B>": _bfp(2, 5),
    "bminifloat<8,4,8,B>": _bminifloat(8, 4, 8),
    "bminifloat<6,2,4,B>": _bminifloat(6, 2, 4),
    "blog<4,8,B>": _blog(4, 8),
    "blog<5,3,B>": _blog(5, 3),
}


def _format(case: str, rounding: str = "half_even") -> Block:
    text = case.replace("B>", f"{SIZE}>") if "B>" in case else f"{case}<{SIZE}>"
    format = parse_format(text).with_rounding(rounding)
    assert isinstance(format, Block)
    return format


numbers = st.one_of(
    st.lists(moderate(), min_size=1, max_size=10), st.lists(f32_bits(), min_size=1, max_size=10)
)


@pytest.mark.parametrize("case", CASES)
@given(x=numbers, rounding=st.sampled_from(ROUNDINGS))
def test_by_rational_arithmetic(case: str, x: list[float], rounding: str) -> None:
    format = _format(case, rounding)
    expected = [v for block in families.blocks(x, SIZE) for v in CASES[case](block, rounding)]
    found = quantize(torch.tensor(x), format)
    if all(v == 0 or 2.0**-149 <= abs(v) < 2.0**128 for v in expected):
        assert [Fraction(v) for v in found.tolist()] == expected
    wide = quantize(torch.tensor(x, dtype=torch.float64), format)
    assert [Fraction(v) for v in wide.tolist()] == expected
    assert same_bits(decode(encode(torch.tensor(x), format), format), found)
    assert not found.isnan().any()


@pytest.mark.parametrize("case", CASES)
def test_stays_where_it_is(case: str) -> None:
    format = _format(case)
    x = torch.randn(64, 30, generator=torch.manual_seed(0)) * torch.logspace(-30, 30, 64)[:, None]
    once = quantize(x, format)
    assert same_bits(quantize(once, format), once)
    assert all(format.contains(v) for v in once.flatten().tolist())
    found = encode(x, format)
    assert isinstance(found, Encoded)
    assert same_bits(quantize(x, format, scale=found.scale), once)
    assert found.scale.value is not None
    assert found.scale.value.shape == (64, 8)
    assert found.codes.shape == x.shape
    assert int(found.codes.max()) < 2**format.bits


@pytest.mark.parametrize("case", CASES)
@given(x=numbers)
def test_monotone_with_a_given_scale(case: str, x: list[float]) -> None:
    format = _format(case)
    block = torch.tensor(sorted(x)[:SIZE])
    for scale in (scale_of(block, format), scale_of(torch.tensor([3.0]), format)):
        once = quantize(block, format, scale=scale)
        assert bool((once.diff() >= 0).all())


@pytest.mark.parametrize("case", [c for c in CASES if not c.startswith("blog")])
def test_zero_blocks(case: str) -> None:
    format = _format(case)
    found = encode(torch.tensor([0.0, 0.0, 0.0, 0.0, 1.0]), format)
    assert isinstance(found, Encoded)
    assert found.scale.value is not None
    assert found.codes[:4].tolist() == [0, 0, 0, 0]
    least = decode(Encoded(torch.ones(1, dtype=torch.uint8), Scale(found.scale.value[:1])), format)
    assert least.double().item() <= 2.0 ** format.scale_range[0]
    assert quantize(torch.zeros(5), format).tolist() == [0, 0, 0, 0, 0]


def test_infinities_saturate_without_a_say_in_the_scale() -> None:
    x = torch.tensor([math.inf, 1.0, -math.inf, math.nan])
    assert quantize(x, "mxfp4<4>")[:3].tolist() == [1.5, 1.0, -1.5]
    assert quantize(x, "mxfp4<4>")[3].isnan()
    found = encode(x, "mxfp8_e4m3<4>")
    assert same_bits(decode(found, "mxfp8_e4m3<4>"), quantize(x, "mxfp8_e4m3<4>"))


def test_shared_exponents_as_ml_dtypes() -> None:
    """The codes of MX scales are E8M0, NaN included."""
    codes = torch.arange(256, dtype=torch.uint8)
    expected = torch.from_numpy(codes.numpy().view(ml_dtypes.float8_e8m0fnu).astype(np.float32))
    one = Encoded(torch.full((256, 1), 64, dtype=torch.int8), Scale(codes[:, None]))
    assert same_bits(decode(one, "mxint<8,1>").flatten(), expected)
    x = torch.exp2(torch.arange(-127.0, 128.0))[:, None]
    found = scale_of(x, "mxint<8,1>")
    assert found is not None
    assert found.value is not None
    assert found.value.flatten().tolist() == list(range(255))


def test_exponents_are_exact_next_to_powers_of_two() -> None:
    powers = torch.exp2(torch.arange(-120.0, 120.0))
    for x, shift in ((powers, 0), (powers.nextafter(torch.tensor(0.0)), -1)):
        found = scale_of(x[:, None], "bfp<8,8,1>")
        assert found is not None
        assert found.value is not None
        assert found.value.flatten().tolist() == [127 + e + shift for e in range(-120, 120)]


@pytest.mark.parametrize("shape", [(), (1,), (7,), (2, 0), (0, 5), (2, 3, 33)])
def test_any_shape(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, generator=torch.manual_seed(0))
    for text in ("mxfp4<4>", "bfp<8,8,4>", "int<4,group=4>", "nvfp4<4>", "int<8>", "uint<8,asym,token>"):
        found = encode(x, text)
        assert isinstance(found, Encoded)
        assert found.scale.value is not None
        assert found.scale.value.shape == parse_format(text).scale_shape(shape)
        assert quantize(x, text).shape == decode(found, text).shape == x.shape
        strided = torch.stack([x, x], -1)[..., 0]
        assert torch.equal(quantize(strided, text), quantize(x, text))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("case", [c for c in CASES if "bminifloat<6" not in c])
def test_other_types_see_the_same_grid(case: str, dtype: torch.dtype) -> None:
    x = torch.randn(40, 12, generator=torch.manual_seed(5)).to(dtype)
    found = quantize(x, _format(case))
    assert found.dtype == dtype
    assert torch.equal(found, quantize(x.float(), _format(case)).to(dtype))


def test_gradients() -> None:
    x = torch.tensor([5.0, 7.9, -math.inf, 0.1], requires_grad=True)
    fake_quantize(x, "mxfp4<4>").sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1, 1, 0, 1]  # 7.9 saturates at 6 here, yet lies in the format's range
    x.grad = None
    fake_quantize(x, "mxfp4<4>", scale=scale_of(x, "mxfp4<4>")).sum().backward()
    assert x.grad.tolist() == [1, 0, 0, 1]  # a given scale has a range of its own


# --------------------------------------------------------------------------------------------- nvfp4


def _nvfp4(x: np.ndarray, size: int) -> np.ndarray:
    """Block by block in numpy's float32, with the types of ml_dtypes."""
    outer = max(np.abs(x).max(initial=np.float32(0)) / np.float32(2688), np.float32(2.0**-126))
    result = np.empty_like(x)
    for i in range(0, x.shape[-1], size):
        block = x[..., i : i + size]
        most = np.abs(block).max(-1, keepdims=True) / np.float32(6) / outer
        inner = np.clip(most, np.float32(2.0**-9), np.float32(448)).astype(ml_dtypes.float8_e4m3fn)
        scale = inner.astype(np.float32) * outer
        elements = np.clip(block / scale, -6, 6).astype(ml_dtypes.float4_e2m1fn).astype(np.float32)
        result[..., i : i + size] = elements * scale
    return result


@pytest.mark.parametrize("size", [16, 10])
def test_nvfp4(size: int) -> None:
    x = torch.randn(100, 40, generator=torch.manual_seed(0)) * torch.logspace(-5, 5, 100)[:, None]
    x[7] = 0
    text = f"nvfp4<{size}>"
    assert same_bits(quantize(x, text), torch.from_numpy(_nvfp4(x.numpy(), size)))
    found = encode(x, text)
    assert isinstance(found, Encoded)
    assert same_bits(decode(found, text), quantize(x, text))
    assert found.scale.outer is not None
    assert same_bits(quantize(x, text, scale=found.scale.outer), quantize(x, text))
    assert same_bits(quantize(quantize(x, text), text, scale=found.scale), quantize(x, text))
    assert parse_format(text).storage_bits(x.shape) == 4000 * 4 + found.scale.value.numel() * 8 + 32


def test_nvfp4_of_nothing_but_zeros() -> None:
    found = encode(torch.zeros(20), "nvfp4<16>")
    assert isinstance(found, Encoded)
    assert found.codes.sum() == 0
    assert quantize(torch.zeros(20), "nvfp4<16>").tolist() == [0.0] * 20

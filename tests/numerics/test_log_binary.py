"""Powers of two, signs, and signs with zero."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mase.ir import MaseError, parse_format
from mase.ir.formats import Log
from mase.runtime.kernels import Encoded, Scale, decode, encode, fake_quantize, quantize
from tests.numerics import families
from tests.numerics.families import f32_bits, moderate, random_bits, same_bits

FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)

# ------------------------------------------------------------------------------------------------ log


@given(st.one_of(f32_bits(), moderate()), st.integers(2, 8), st.integers(-3, 60), st.booleans())
def test_log_by_rational_arithmetic(x: float, width: int, bias: int, floor: bool) -> None:
    format = Log(width, bias, rounding="floor" if floor else "half_even")
    exact = Fraction(x) if math.isfinite(x) else Fraction(math.copysign(2.0**128, x))
    low, high = max(format.min_exponent, -149), min(format.max_exponent, 127)
    expected = families.log(exact, low, high, format.rounding)
    assert Fraction(quantize(torch.tensor([x]), format).item()) == expected


@pytest.mark.parametrize("width", range(2, 9))
def test_every_log_code(width: int) -> None:
    format = Log(width)
    codes = torch.arange(2**width)
    values = decode(codes, format)
    low, high = format.min_exponent, format.max_exponent
    magnitudes = [2.0**e for e in range(low, high + 1)]
    assert values.tolist() == magnitudes + [-m for m in magnitudes]
    assert torch.equal(encode(values, format).long(), codes)
    assert torch.equal(quantize(values, format), values)
    assert all(format.contains(v) for v in values.tolist())


def test_root_of_two_divides_the_log_domain() -> None:
    root = torch.tensor(math.sqrt(2), dtype=torch.float64)  # the next double above the true root
    below = root.nextafter(torch.tensor(0.0, dtype=torch.float64))
    assert quantize(torch.stack([root, below]), "log<8>").tolist() == [2.0, 1.0]
    near = torch.tensor([1.4142135, 1.4142137, -1.4142135, -1.4142137])  # float32 on either side
    assert quantize(near, "log<8>").tolist() == [1, 2, -1, -2]
    assert quantize(near, "log<8,half_up>").tolist() == [1, 2, -1, -2]
    assert quantize(near, "log<8,floor>").tolist() == [1, 1, -2, -2]


@pytest.mark.parametrize("dtype", FLOATS)
def test_log_of_special_numbers(dtype: torch.dtype) -> None:
    x = torch.tensor([0.0, -0.0, math.inf, -math.inf, math.nan], dtype=dtype)
    found = quantize(x, "log<4>")
    assert found.dtype == dtype
    assert found[:4].tolist() == [0.125, 0.125, 16.0, -16.0]
    assert found[4].isnan()
    with pytest.raises(MaseError, match="NaN has no code in log<4>"):
        encode(x, "log<4>")


@pytest.mark.parametrize("text", ["log<4>", "log<8>", "log<5,bias=20>", "log<6,floor>"])
def test_log_round_trip(text: str) -> None:
    x = random_bits(20_000)
    assert same_bits(decode(encode(x, text), text), quantize(x, text))


# --------------------------------------------------------------------------------------------- binary


def test_binary() -> None:
    x = torch.tensor([0.0, -0.0, 3.0, -1e-30, math.inf, -math.inf])
    assert encode(x, "binary").tolist() == [1, 1, 1, 0, 1, 0]
    assert quantize(x, "binary").tolist() == [1, 1, 1, -1, 1, -1]
    assert decode(encode(x, "binary"), "binary").tolist() == [1, 1, 1, -1, 1, -1]
    assert quantize(torch.tensor([math.nan]), "binary").isnan().all()


def test_scaled_binary() -> None:
    x = torch.tensor([[1.0, -2.0], [3.0, -4.0]])
    assert quantize(x, "binary<scaled>").tolist() == [[2.5, -2.5], [2.5, -2.5]]
    assert quantize(x, "binary<scaled,channel=0>").tolist() == [[1.5, -1.5], [3.5, -3.5]]
    assert quantize(x, "binary<scaled>", scale=0.5).tolist() == [[0.5, -0.5], [0.5, -0.5]]
    found = encode(x, "binary<scaled,channel=1>")
    assert isinstance(found, Encoded)
    assert decode(found, "binary<scaled,channel=1>").tolist() == [[2.0, -3.0], [2.0, -3.0]]
    with pytest.raises(MaseError, match="no factor"):
        quantize(x, "binary", scale=0.5)


@pytest.mark.parametrize("text", ["binary", "binary<scaled>", "ternary", "ternary<scaled>"])
def test_gradient_passes_up_to_one(text: str) -> None:
    x = torch.tensor([0.5, -1.0, 1.01, -3.0], requires_grad=True)
    fake_quantize(x, text).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1, 1, 0, 0]


# -------------------------------------------------------------------------------------------- ternary


def test_ternary() -> None:
    x = torch.tensor([1.0, -0.1, 0.2, -2.0, 0.0])  # mean 0.66, threshold 0.462
    assert quantize(x, "ternary").tolist() == [1, 0, 0, -1, 0]
    assert encode(x, "ternary").tolist() == [1, 0, 0, -1, 0]
    assert quantize(x, "ternary<scaled>").tolist() == [1.5, 0, 0, -1.5, 0]
    given = Scale(torch.tensor(2.0), threshold=torch.tensor(0.15))
    assert quantize(x, "ternary<scaled>", scale=given).tolist() == [2, 0, 2, -2, 0]


def test_ternary_by_channel() -> None:
    x = torch.tensor([[1.0, -0.1], [10.0, 9.0], [0.0, 0.0]])
    assert quantize(x, "ternary<channel=0>").tolist() == [[1, 0], [1, 1], [0, 0]]
    assert quantize(x, "ternary<scaled,channel=0>").tolist() == [[1, 0], [9.5, 9.5], [0, 0]]


@pytest.mark.parametrize("text", ["binary<scaled>", "ternary<scaled>", "ternary<scaled,channel=-1>"])
def test_scaled_signs_round_trip_and_stay(text: str) -> None:
    x = torch.randn(50, 30, generator=torch.manual_seed(0))
    once = quantize(x, text)
    assert torch.equal(decode(encode(x, text), text), once)
    assert torch.equal(quantize(once, text), once)
    nonfinite = torch.cat([x.flatten(), torch.tensor([math.inf, -math.inf])])
    assert quantize(nonfinite, text.replace(",channel=-1", "")).isfinite().all()
    assert parse_format(text).bits == (1 if "binary" in text else 2)

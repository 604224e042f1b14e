"""The fixed-point kernel against rational arithmetic and against other people's quantizers."""

import itertools
import math
import struct
from fractions import Fraction

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from torch import Tensor

from mase.ir import Fixed, MaseError
from mase.ir.formats.fixed import Rounding
from mase.runtime.kernels import decode, encode, fake_quantize, quantize
from mase.runtime.kernels.fixed import bounds
from tests.numerics.oracle import code_of, value_of

ROUNDINGS: tuple[Rounding, ...] = ("half_even", "half_up", "floor")
FRACS = (-126, -3, 0, 4, 7, 12, 126)
FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def f32_bits() -> st.SearchStrategy[float]:
    """Any float32 that is no NaN, by its bits: subnormals and infinities as likely as any."""
    words = st.integers(0, 2**32 - 1).map(lambda w: struct.unpack("<f", struct.pack("<I", w))[0])
    return words.filter(lambda x: not math.isnan(x))


@st.composite
def formats(draw: st.DrawFn) -> Fixed:
    signed = draw(st.booleans())
    narrow = signed and draw(st.booleans())
    width = draw(st.integers(2, 32))
    rounding = draw(st.sampled_from(ROUNDINGS))
    return Fixed(width, draw(st.integers(-126, 126)), signed, narrow, rounding)


@st.composite
def near_the_grid(draw: st.DrawFn) -> tuple[float, Fixed]:
    """A format, and a float32 on its grid, on a tie, or next to one: where rounding goes wrong."""
    format = draw(formats())
    code = draw(st.integers(format.code_min - 2, format.code_max + 2))
    with np.errstate(over="ignore"):
        halves = np.float32(math.ldexp(2 * code + draw(st.integers(-1, 1)), -format.frac - 1))
        x = draw(st.sampled_from([halves, np.nextafter(halves, np.float32(0)), np.float32(2) * halves]))
    return float(x), format


def check(x: float, format: Fixed) -> None:
    tensor = torch.tensor([x])
    code = code_of(float(tensor), format)
    assert encode(tensor, format).item() == code
    low, high = bounds(format, torch.float32)
    expected = min(max(value_of(code, format), Fraction(low)), Fraction(high))
    result = quantize(tensor, format)
    assert result.dtype == torch.float32
    assert Fraction(result.item()) == expected
    assert math.copysign(1, result.item()) == (-1 if code < 0 else 1)


@given(f32_bits(), formats())
def test_random_bits(x: float, format: Fixed) -> None:
    check(x, format)


@given(near_the_grid())
def test_near_ties_and_bounds(case: tuple[float, Fixed]) -> None:
    check(*case)


@given(f32_bits(), f32_bits(), formats())
def test_idempotent_and_monotone(a: float, b: float, format: Fixed) -> None:
    once = quantize(torch.tensor([min(a, b), max(a, b)]), format)
    assert torch.equal(quantize(once, format), once)
    assert once[0] <= once[1]


@given(f32_bits(), formats())
def test_nearest_value(x: float, format: Fixed) -> None:
    if format.rounding == "floor" or math.isinf(x):
        return
    found = Fraction(quantize(torch.tensor([x]), format).item())
    low, high = (Fraction(b) for b in bounds(format, torch.float32))
    step = Fraction(2) ** -format.frac
    neighbours = [v for v in (found - step, found + step) if low <= v <= high]
    exact = Fraction(float(torch.tensor(x)))
    assert all(abs(exact - found) <= abs(exact - v) for v in neighbours)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("width", range(1, 9))
def test_every_code(width: int, rounding: Rounding) -> None:
    for frac, signed, narrow in itertools.product(FRACS, (True, False), (True, False)):
        if narrow and (not signed or width < 2):
            continue
        format = Fixed(width, frac, signed, narrow, rounding)
        codes = torch.arange(format.code_min, format.code_max + 1)
        values = decode(codes, format)
        assert [Fraction(v) for v in values.tolist()] == [value_of(c, format) for c in codes.tolist()]
        assert torch.equal(encode(values, format).long(), codes)
        assert all(format.contains(v) for v in values.tolist())
        wide = values.double()
        assert torch.equal(quantize(wide, format), wide)
        halves = torch.cat([wide + s * format.step * 2.0**-e for e in (1, 2, 20) for s in (-1, 1)])
        expected = [code_of(v, format) for v in halves.tolist()]
        assert encode(halves, format).tolist() == expected


@pytest.mark.parametrize("frac", [-60, 0, 11, 60])
@pytest.mark.parametrize("width", range(9, 33))
def test_codes_of_wide_formats(width: int, frac: int) -> None:
    format = Fixed(width, frac)
    generator = torch.manual_seed(width)
    codes = torch.randint(format.code_min, format.code_max + 1, (2000,), generator=generator)
    values = decode(codes, format).double()
    assert torch.equal(encode(values, format).long(), codes)
    exact = (values.float().double() == values).nonzero().flatten()  # those that float32 holds
    assert torch.equal(quantize(values[exact].float(), format).double(), values[exact])
    ties = values + format.step / 2
    expected = [code_of(v, format) for v in ties.tolist()]
    assert encode(ties, format).tolist() == expected
    exact = (ties.float().double() == ties).nonzero().flatten()
    found = quantize(ties[exact].float(), format).double() / format.step
    assert found.tolist() == [min(expected[i], format.code_max) for i in exact.tolist()] or width > 24


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize(
    "text", ["fixed<8,4>", "ufixed<12,12>", "fixed<16,8>", "fixed<32,16>", "fixed<4,-9>"]
)
def test_other_float_types(text: str, dtype: torch.dtype, rounding: Rounding) -> None:
    format = Fixed.from_text(*_parts(text))
    assert isinstance(format, Fixed)
    format = format.with_rounding(rounding)
    x = (torch.randn(500, generator=torch.manual_seed(0)) * format.max / 2).to(dtype)
    ties = (torch.arange(-40, 41) * format.step / 2).to(dtype)
    for values in (x, ties, torch.tensor([math.inf, -math.inf, -0.0], dtype=dtype)):
        found = quantize(values, format)
        assert found.dtype == dtype
        low, high = bounds(format, dtype)
        expected = [min(max(float(value_of(code_of(v, format), format)), low), high) for v in values.tolist()]
        assert found.tolist() == expected


def _parts(text: str) -> tuple[str, list[str]]:
    name, _, inside = text.rstrip(">").partition("<")
    return name, inside.split(",")


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_nan_stays_nan_and_has_no_code(rounding: Rounding) -> None:
    format = Fixed(8, 4, rounding=rounding)
    x = torch.tensor([math.nan, 1.0])
    assert quantize(x, format).isnan().tolist() == [True, False]
    with pytest.raises(MaseError, match="NaN has no code in fixed<8,4"):
        encode(x, format)


def test_width_32_saturates_at_its_last_code() -> None:
    format = Fixed(32, 0)
    x = torch.tensor([3e9, 2.0**31, -3e9, math.inf])
    assert encode(x, format).tolist() == [2**31 - 1, 2**31 - 1, -(2**31), 2**31 - 1]
    assert quantize(x.double(), format).tolist() == [2**31 - 1, 2**31 - 1, -(2**31), 2**31 - 1]
    assert quantize(x, format).tolist() == [2**31 - 128, 2**31 - 128, -(2**31), 2**31 - 128]
    assert decode(encode(x, format), format).dtype == torch.float64


@pytest.mark.parametrize(
    ("format", "dtype"),
    [
        (Fixed(4, 0), torch.int8),
        (Fixed(8, 0), torch.int8),
        (Fixed(8, 0, signed=False), torch.uint8),
        (Fixed(9, 0), torch.int16),
        (Fixed(16, 0, signed=False), torch.int32),
        (Fixed(32, 0), torch.int32),
        (Fixed(32, 0, signed=False), torch.int64),
    ],
)
def test_codes_take_the_smallest_type(format: Fixed, dtype: torch.dtype) -> None:
    codes = encode(torch.tensor([math.inf, -math.inf]), format)
    assert codes.dtype == dtype
    assert codes.tolist() == [format.code_max, format.code_min]


# ------------------------------------------------------------------------------------- other people's


def _samples(frac: int) -> Tensor:
    generator = torch.manual_seed(frac)
    ties = torch.arange(-600, 601) / 2 * 2.0**-frac
    return torch.cat([ties, torch.randn(4000, generator=generator) * 2.0 ** (8 - frac)])


@pytest.mark.parametrize("frac", [-5, 0, 4, 7, 20])
@pytest.mark.parametrize("signed", [True, False])
def test_agrees_with_onnxruntime(frac: int, signed: bool) -> None:
    kind = TensorProto.INT8 if signed else TensorProto.UINT8
    graph = helper.make_graph(
        [helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None])],
        [helper.make_tensor_value_info("y", kind, [None])],
        [
            helper.make_tensor("scale", TensorProto.FLOAT, [], [2.0**-frac]),
            helper.make_tensor("zero", kind, [], [0]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = _samples(frac)
    (expected,) = session.run(None, {"x": x.numpy()})
    assert encode(x, Fixed(8, frac, signed)).tolist() == expected.tolist()


@pytest.mark.parametrize("width", [2, 4, 8, 16])
@pytest.mark.parametrize("frac", [0, 3, 10])
def test_agrees_with_torch(width: int, frac: int) -> None:
    format = Fixed(width, frac)
    x = _samples(frac)
    expected = torch.fake_quantize_per_tensor_affine(x, format.step, 0, format.code_min, format.code_max)
    assert torch.equal(quantize(x, format), expected)
    assert torch.equal(fake_quantize(x, format), expected)


@pytest.mark.parametrize("dtype", [ml_dtypes.int4, ml_dtypes.uint4, ml_dtypes.int2, ml_dtypes.uint2])
def test_agrees_with_ml_dtypes(dtype: type) -> None:
    info = ml_dtypes.iinfo(dtype)
    format = Fixed(info.bits, 0, signed=int(info.min) < 0)
    assert (format.code_min, format.code_max) == (int(info.min), int(info.max))
    x = np.arange(int(info.min), int(info.max) + 1).astype(np.float32)
    assert encode(torch.from_numpy(x), format).tolist() == x.astype(dtype).astype(np.int64).tolist()

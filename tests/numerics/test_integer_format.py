"""Scaled integers against onnxruntime, torch and float32 arithmetic done by numpy."""

import math

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper

from mase.ir import MaseError, parse_format
from mase.ir.format import ROUNDINGS
from mase.ir.formats import Integer
from mase.runtime.kernels import Encoded, Scale, decode, encode, fake_quantize, quantize, scale_of
from tests.numerics.families import f32_bits, random_bits, same_bits

KINDS = {
    "int<8>": TensorProto.INT8,
    "uint<8>": TensorProto.UINT8,
    "int<4>": TensorProto.INT4,
    "uint<4>": TensorProto.UINT4,
    "int<16>": TensorProto.INT16,
    "uint<16>": TensorProto.UINT16,
}


def _session(
    nodes: list, inputs: dict, outputs: dict, constants: list, opset: int = 21
) -> onnxruntime.InferenceSession:
    def info(values: dict) -> list:
        return [helper.make_tensor_value_info(n, kind, None) for n, kind in values.items()]

    graph = helper.make_graph(nodes, "g", info(inputs), info(outputs), constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def _onnx(
    text: str, x: torch.Tensor, scale: Scale, **attributes: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Codes, as floats, and values by ``QuantizeLinear`` and ``DequantizeLinear``."""
    kind = KINDS[text]
    assert scale.value is not None
    shape = list(scale.value.shape)
    zeros = torch.zeros_like(scale.value).int() if scale.zero_point is None else scale.zero_point
    constants = [
        helper.make_tensor("s", TensorProto.FLOAT, shape, scale.value.flatten().tolist()),
        helper.make_tensor("z", kind, shape, zeros.flatten().tolist()),
        helper.make_tensor("one", TensorProto.FLOAT, [], [1.0]),
    ]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], **attributes),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], **attributes),
        helper.make_node("DequantizeLinear", ["q", "one"], ["codes"]),
    ]
    floats = TensorProto.FLOAT
    session = _session(nodes, {"x": floats}, {"codes": floats, "y": floats}, constants)
    codes, values = session.run(None, {"x": x.numpy()})
    return codes, values


def _agree(text: str, plain: str, x: torch.Tensor, **attributes: int) -> None:
    found = encode(x, text)
    assert isinstance(found, Encoded)
    codes, values = _onnx(plain, x, found.scale, **attributes)
    assert torch.equal(found.codes.double(), torch.from_numpy(codes).double())
    assert same_bits(quantize(x, text), torch.from_numpy(values) + 0.0)
    assert same_bits(decode(found, text), quantize(x, text))


@pytest.fixture
def x() -> torch.Tensor:
    generator = torch.manual_seed(3)
    return torch.randn(48, 64, generator=generator) * torch.logspace(-6, 6, 48)[:, None]


@pytest.mark.parametrize("plain", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_per_tensor_as_onnxruntime(plain: str, seed: int) -> None:
    x = torch.randn(20_000, generator=torch.manual_seed(seed)) * 10.0 ** (seed - 1)
    _agree(plain, plain, x)


@pytest.mark.parametrize("plain", KINDS)
@pytest.mark.parametrize("axis", [0, 1])
def test_per_channel_as_onnxruntime(plain: str, axis: int, x: torch.Tensor) -> None:
    _agree(plain.replace(">", f",channel={axis}>"), plain, x, axis=axis)


@pytest.mark.parametrize("plain", ["int<8>", "uint<8>", "int<4>", "uint<4>"])
@pytest.mark.parametrize("group", [16, 32, 64])
def test_groups_as_onnxruntime(plain: str, group: int, x: torch.Tensor) -> None:
    _agree(plain.replace(">", f",group={group}>"), plain, x, axis=1, block_size=group)


@pytest.mark.parametrize("low", [0.0, -0.3, -2.0, -50.0])
def test_asymmetric_as_onnxruntime(low: float) -> None:
    """`DynamicQuantizeLinear` chooses scale and zero point as mase does."""
    x = torch.rand(5000, generator=torch.manual_seed(7)) * 7.3 + low
    outputs = {"q": TensorProto.UINT8, "s": TensorProto.FLOAT, "z": TensorProto.UINT8}
    node = helper.make_node("DynamicQuantizeLinear", ["x"], list(outputs))
    session = _session([node], {"x": TensorProto.FLOAT}, outputs, [])
    codes, scale, zero_point = session.run(None, {"x": x.numpy()})
    found = encode(x, "uint<8,asym>")
    assert isinstance(found, Encoded)
    assert found.scale.value is not None
    assert found.scale.zero_point is not None
    assert found.scale.value.item() == scale
    assert found.scale.zero_point.item() == zero_point
    assert torch.equal(found.codes, torch.from_numpy(codes))
    _agree("uint<8,asym>", "uint<8>", x)


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
def test_codes_as_torch(x: torch.Tensor) -> None:
    """torch multiplies by a reciprocal, so a power of two must be the scale for the same bits."""
    for text, dtype, zero_point in (("int<8>", torch.qint8, 0), ("uint<8,asym>", torch.quint8, 17)):
        z = torch.tensor(zero_point, dtype=torch.int32)
        given = Scale(torch.tensor(2.0**-6), z if "asym" in text else None)
        theirs = torch.quantize_per_tensor(x, 2.0**-6, zero_point, dtype)
        found = encode(x, text, scale=given)
        assert isinstance(found, Encoded)
        assert torch.equal(found.codes, theirs.int_repr())
        assert torch.equal(quantize(x, text, scale=given), theirs.dequantize())


# ------------------------------------------------------------------------------------------ by definition


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("width", [1, 2, 3, 8, 16, 24])
def test_by_definition_in_float32(width: int, rounding: str) -> None:
    for signed, asym in ((True, False), (False, False), (False, True)):
        format = Integer(width, signed, asym, rounding=rounding)
        scale = np.float32(0.037)
        zero = 2 ** (width - 1) if asym else 0
        x = torch.cat([torch.arange(-300, 300) / 2 * float(scale), random_bits(3000)])
        given = Scale(torch.tensor(scale), torch.tensor(zero, dtype=torch.int32) if asym else None)
        with np.errstate(all="ignore"):
            quotient = x.numpy() / scale
        wide = quotient.astype(np.float64)
        whole = {"half_even": np.rint(wide), "floor": np.floor(wide), "half_up": np.floor(wide + 0.5)}
        codes = np.clip(whole[rounding] + zero, format.code_min, format.code_max)
        found = encode(x, format, scale=given)
        assert isinstance(found, Encoded)
        assert found.codes.tolist() == codes.tolist()
        values = (codes - zero).astype(np.float32) * scale
        assert quantize(x, format, scale=given).tolist() == values.tolist()


@pytest.mark.parametrize("width", range(1, 9))
def test_every_code(width: int) -> None:
    for text in (f"int<{width}>", f"uint<{width}>", f"uint<{width},asym>"):
        format = parse_format(text)
        assert isinstance(format, Integer)
        codes = torch.arange(format.code_min, format.code_max + 1)
        zero_point = torch.tensor(format.code_max // 3, dtype=torch.int32) if format.asym else None
        scale = Scale(torch.tensor(0.3), zero_point)
        values = decode(Encoded(codes, scale), text)
        back = encode(values, text, scale=scale)
        assert isinstance(back, Encoded)
        assert torch.equal(back.codes.long(), codes)
        assert same_bits(quantize(values, text, scale=scale), values)
        assert all(format.contains(v) for v in values.tolist())


@pytest.mark.parametrize("width", [25, 31, 32])
@pytest.mark.parametrize("signed", [True, False])
def test_wide_ones_are_exact(width: int, signed: bool) -> None:
    format = Integer(width, signed)
    codes = torch.tensor([format.code_min, format.code_min + 1, 0, 1, format.code_max - 1, format.code_max])
    scale = Scale(torch.tensor(0.7))
    values = decode(Encoded(codes, scale), format)
    assert values.dtype == torch.float64
    back = encode(values, format, scale=scale)
    assert isinstance(back, Encoded)
    assert torch.equal(back.codes.long(), codes)


@given(st.lists(f32_bits(nan=True), min_size=1, max_size=12), st.integers(2, 24), st.sampled_from(ROUNDINGS))
def test_scale_comes_from_finite_numbers(x: list[float], width: int, rounding: str) -> None:
    format = Integer(width, rounding=rounding)
    finite = [abs(v) for v in x if math.isfinite(v)]
    found = scale_of(torch.tensor(x), format)
    assert found is not None
    assert found.value is not None
    wanted = np.float32(max(finite, default=0.0)) / np.float32(format.code_max)
    cap = np.finfo(np.float32).max / np.float32(2.0 ** (width - 1))
    assert found.value.item() == min(max(wanted, np.float32(2.0**-126)), cap)
    quantized = quantize(torch.tensor(x), format)
    assert quantized.isnan().tolist() == [math.isnan(v) for v in x]
    assert not quantized.isinf().any()


@given(st.lists(f32_bits(), min_size=2, max_size=12), st.floats(2.0**-100, 2.0**100, width=32))
def test_given_a_scale_idempotent_and_monotone(x: list[float], scale: float) -> None:
    ordered = torch.tensor(sorted(x))
    for text in ("int<8>", "uint<4>", "int<16,half_up>"):
        once = quantize(ordered, text, scale=scale)
        assert torch.equal(quantize(once, text, scale=scale), once)
        assert bool((once.diff() >= 0).all())


def test_granularity() -> None:
    x = torch.tensor([[1.0, 2.0, 4.0], [10.0, 20.0, 40.0]])
    shapes = {"int<8>": [], "int<8,channel=1>": [3], "int<8,channel=-2>": [2], "int<8,token>": [2]}
    shapes |= {"int<8,group=2>": [2, 2], "int<8,group=5>": [2, 1]}
    for text, shape in shapes.items():
        scale = scale_of(x, text)
        assert scale is not None
        assert scale.value is not None
        assert list(scale.value.shape) == shape
        assert same_bits(quantize(x, text, scale=scale), quantize(x, text))
        with pytest.raises(MaseError, match="needs scales of shape"):
            quantize(x, text, scale=torch.ones(7))
    assert torch.equal(quantize(x, "int<8,token>"), quantize(x, "int<8,channel=0>"))
    groups = quantize(x, "int<8,group=2>")
    assert torch.equal(groups[:, :2], quantize(x[:, :2].contiguous(), "int<8,token>"))
    assert torch.equal(groups[:, 2:], quantize(x[:, 2:].contiguous(), "int<8,token>"))


def test_zeros_have_the_least_scale_and_zero_codes() -> None:
    for text in ("int<8>", "uint<8>", "uint<8,asym>", "int<4,group=3>"):
        found = encode(torch.tensor([[0.0, -0.0, 0.0, 0.0]]), text)
        assert isinstance(found, Encoded)
        assert found.scale.value is not None
        assert bool((found.scale.value == 2.0**-126).all())
        assert found.codes.abs().sum() == 0
        assert same_bits(decode(found, text), torch.zeros(1, 4))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_types_get_the_same_codes(dtype: torch.dtype) -> None:
    x = torch.randn(500, generator=torch.manual_seed(2)).to(dtype)
    for text in ("int<8>", "uint<4,asym>", "int<4,group=32>"):
        mine, plain = encode(x, text), encode(x.float(), text)
        assert isinstance(mine, Encoded)
        assert isinstance(plain, Encoded)
        assert torch.equal(mine.codes, plain.codes)
        assert quantize(x, text).dtype == dtype
        assert torch.equal(quantize(x, text), quantize(x.float(), text).to(dtype))


def test_gradients() -> None:
    x = torch.tensor([1.0, -3.0, 0.2, math.inf], requires_grad=True)

    def gradient(text: str, scale: Scale | float | None = None) -> list[float]:
        (found,) = torch.autograd.grad(fake_quantize(x, text, scale=scale).sum(), x)
        return found.tolist()

    assert gradient("int<4>") == [1, 1, 1, 0]  # the range is the data's
    assert gradient("uint<4>") == [1, 0, 1, 0]
    assert gradient("int<4>", 0.2) == [1, 0, 1, 0]
    asym = Scale(torch.tensor(0.2), torch.tensor(15, dtype=torch.int32))
    assert gradient("uint<4,asym>", asym) == [0, 1, 0, 0]


def test_scales_that_make_no_sense() -> None:
    x = torch.ones(3)
    with pytest.raises(MaseError, match="fixed<8,4> has no scale"):
        quantize(x, "fixed<8,4>", scale=0.1)
    with pytest.raises(MaseError, match="needs a scale and a zero point"):
        quantize(x, "uint<8,asym>", scale=0.1)
    with pytest.raises(MaseError, match="come with scales"):
        decode(torch.tensor([1, 2]), "int<8>")
    with pytest.raises(MaseError, match="come without scales"):
        decode(Encoded(torch.tensor([1]), Scale(torch.tensor(1.0))), "fixed<8,4>")
    with pytest.raises(MaseError, match="has no axis 3"):
        quantize(x, "int<8,channel=3>")
    with pytest.raises(MaseError, match="NaN has no code in int<8>"):
        encode(torch.tensor([math.nan]), "int<8>")

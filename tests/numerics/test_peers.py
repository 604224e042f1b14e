"""Quantizers of other libraries, each where it is installed."""

import warnings
from typing import Any

import numpy as np
import pytest
import torch

from mase.runtime.kernels import Encoded, Scale, encode, quantize, scale_of

MX = ["mxfp8_e4m3<32>", "mxfp8_e5m2<32>", "mxfp6_e3m2<32>", "mxfp6_e2m3<32>", "mxfp4<32>"]


@pytest.fixture
def x() -> torch.Tensor:
    generator = torch.manual_seed(0)
    binades = torch.randint(-12, 12, (200, 1), generator=generator)
    return torch.ldexp(torch.randn(200, 64, generator=generator), binades)


def _imported(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, exc_type=ImportError)


def _with(text: str, *words: str) -> str:
    return ",".join([text, *(w for w in words if w)]) + ">"


# --------------------------------------------------------------------------------------------- qonnx

ROUNDS = {"": "ROUND", "floor": "FLOOR", "half_up": "HALF_UP"}


@pytest.mark.parametrize("rounding", ROUNDS)
@pytest.mark.parametrize("narrow", ["", "narrow"])
@pytest.mark.parametrize("width", [2, 3, 4, 8])
def test_quant_of_qonnx(x: torch.Tensor, width: int, narrow: str, rounding: str) -> None:
    qonnx = _imported("qonnx.custom_op.general.quant")
    for scale in (0.037, 2.0**-4):
        arguments = (np.float32(scale), np.float32(0), np.float32(width), True, bool(narrow))
        expected = qonnx.quant(x.numpy().copy(), *arguments, ROUNDS[rounding])
        found = quantize(x, _with(f"int<{width}", narrow, rounding), scale=scale)
        assert torch.equal(found, torch.from_numpy(expected.astype(np.float32)))
        if scale == 2.0**-4:
            assert torch.equal(quantize(x, _with(f"fixed<{width},4", narrow, rounding)), found)


@pytest.mark.parametrize("rounding", ROUNDS)
@pytest.mark.parametrize("zero_point", [0, 17])
def test_asymmetric_quant_of_qonnx(x: torch.Tensor, zero_point: int, rounding: str) -> None:
    qonnx = _imported("qonnx.custom_op.general.quant")
    arguments = (np.float32(0.037), np.float32(zero_point), np.float32(8), False, False)
    expected = qonnx.quant(x.numpy().copy(), *arguments, ROUNDS[rounding])
    given = Scale(torch.tensor(0.037), torch.tensor(zero_point, dtype=torch.int32))
    found = quantize(x, _with("uint<8,asym", rounding), scale=given)
    assert torch.equal(found, torch.from_numpy(expected.astype(np.float32)))


@pytest.mark.parametrize("rounding", ["", "floor"])
@pytest.mark.parametrize("bits", [(4, 3), (5, 2), (3, 2), (2, 3), (2, 1), (3, 0), (5, 10)])
def test_float_quant_of_qonnx(x: torch.Tensor, bits: tuple[int, int], rounding: str) -> None:
    qonnx = _imported("qonnx.custom_op.general.floatquant")
    expected = qonnx.float_quant(
        x.numpy().copy(), 1.0, *bits, has_subnormal=True, rounding_mode=ROUNDS[rounding]
    )
    found = quantize(x, _with(f"float<{bits[0]},{bits[1]}", rounding))
    assert torch.equal(found, torch.from_numpy(expected.astype(np.float32)))


# ------------------------------------------------------------------------------------------ Brevitas


def _brevitas(quantizer: Any, x: torch.Tensor, **options: int) -> torch.Tensor:
    layers = _imported("brevitas.nn")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        layer = layers.QuantLinear(x.shape[1], x.shape[0], bias=False, weight_quant=quantizer, **options)
        layer.weight.data.copy_(x)
        return layer.quant_weight().value.detach().reshape(x.shape)


@pytest.mark.parametrize("width", [4, 8])
@pytest.mark.parametrize(
    ("text", "quantizer"),
    [("narrow", "Int8WeightPerTensorFloat"), ("narrow,channel=0", "Int8WeightPerChannelFloat")],
)
def test_integers_of_brevitas(x: torch.Tensor, text: str, quantizer: str, width: int) -> None:
    scaled = _imported("brevitas.quant.scaled_int")
    expected = _brevitas(getattr(scaled, quantizer), x, weight_bit_width=width)
    assert torch.equal(quantize(x, f"int<{width},{text}>"), expected)


@pytest.mark.parametrize("text", MX)
def test_mx_of_brevitas(x: torch.Tensor, text: str) -> None:
    ocp = _imported("brevitas.quant.mx_quant_ocp")
    exponent, fraction = {"8_e4": (4, 3), "8_e5": (5, 2), "6_e3": (3, 2), "6_e2": (2, 3)}.get(
        text[4:8], (2, 1)
    )
    bits = {"weight_bit_width": 1 + exponent + fraction}
    bits |= {"weight_exponent_bit_width": exponent, "weight_mantissa_bit_width": fraction}
    assert torch.equal(quantize(x, text), _brevitas(ocp.MXFloat8e4m3Weight, x, **bits))


# -------------------------------------------------------------------------------------------- gfloat


@pytest.mark.parametrize("text", [*MX, "mxint<8,32>"])
def test_mx_of_gfloat(x: torch.Tensor, text: str) -> None:
    gfloat = _imported("gfloat")
    formats = _imported("gfloat.formats")
    name = {"mxfp4<32>": "mxfp4_e2m1", "mxint<8,32>": "mxint8"}.get(text, text.partition("<")[0])
    info = getattr(formats, f"format_info_{name}")
    rows = [
        gfloat.quantize_block(info, row, gfloat.compute_scale_amax, gfloat.RoundMode.TiesToEven)
        for row in x.double().numpy().reshape(-1, 32)
    ]
    expected = torch.from_numpy(np.stack(rows)).reshape(x.shape)
    if text == "mxint<8,32>":  # theirs has the code -128 too, which the specification lets one leave out
        found = scale_of(x, text)
        assert found is not None
        assert found.value is not None
        least = -127 * torch.exp2(found.value.double() - 127 - 6).repeat_interleave(32, 1)
        expected = torch.maximum(expected, least)
    assert torch.equal(quantize(x, text).double(), expected)


# ------------------------------------------------------------------------------------------- torchao


def test_scales_of_nvfp4_as_torchao(x: torch.Tensor) -> None:
    theirs = _imported("torchao.prototype.mx_formats.nvfp4_tensor")
    outer = theirs.per_tensor_amax_to_scale(x.abs().max())
    expected, _ = theirs.nvfp4_quantize(x, 16, outer)
    found = encode(x, "nvfp4<16>")
    assert isinstance(found, Encoded)
    assert found.scale.value is not None
    keep = expected.float() > 2.0**-6  # theirs ends there, at the smallest normal number
    assert torch.equal(found.scale.value[keep], expected.view(torch.uint8)[keep])
    assert torch.equal(found.scale.outer, outer)

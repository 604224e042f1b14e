"""Formats as users write them: canonical texts, the keyed style, and what is refused."""

import math
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mase.ir import MaseError, format_from_keys, parse_format, parse_type
from mase.ir.format import ROUNDINGS, format_families
from mase.ir.formats import Code, Dtype
from mase.ir.keyed import formats_by_role
from mase.runtime.kernels import Encoded, decode, encode, kernel_of, quantize
from tests.numerics.families import random_bits

CANONICAL = [
    *("fixed<8,4>", "ufixed<8,8>", "fixed<8,4,narrow,half_up>", "fixed<8>"),
    *("int<8>", "int<4,group=128>", "int<8,channel=0>", "int<8,token>", "int<4,narrow,channel=-1,floor>"),
    *("uint<8>", "uint<8,asym>", "uint<4,asym,group=32,half_up>", "uint<8,asym,token>"),
    *("float<4,3>", "float<5,2,bias=3>", "float<4,3,half_up>", "float<4,3,bias=-2,floor>"),
    *("fp8_e4m3fn", "fp8_e5m2", "fp6_e3m2", "fp6_e2m3", "fp4_e2m1", "fp8_e5m2<floor>"),
    *("denorm<8,4>", "denorm<8,4,bias=9,half_up>", "log<8>", "log<4,bias=2>", "log<4,floor>"),
    *("bfp<8,8,16>", "bfp<4,5,16,bias=3>", "bfp<8,8,16,floor>"),
    *("mxint<8,32>", "mxint<4,16,exponent=6>", "mxfp8_e4m3<32>", "mxfp8_e5m2<16>", "mxfp6_e3m2<32>"),
    *("mxfp6_e2m3<32>", "mxfp4<32>", "mxfp4<32,half_up>", "nvfp4<16>", "nvfp4<16,floor>"),
    *("bminifloat<8,4,8,16>", "bminifloat<8,4,8,16,floor>", "blog<4,8,16>", "blog<4,8,16,half_up>"),
    *("binary", "binary<scaled>", "binary<scaled,channel=0>"),
    *("ternary", "ternary<scaled>", "ternary<channel=1>", "ternary<scaled,channel=0>"),
]
COMPLETE = [text for text in CANONICAL if parse_format(text).calibrated]


@pytest.mark.parametrize("text", CANONICAL)
def test_text_round_trip(text: str) -> None:
    format = parse_format(text)
    assert str(format) == text
    assert parse_format(text.replace(",", " , ")) == format
    assert hash(parse_format(text)) == hash(format)
    assert str(parse_type(f"{text}[N,256]")) == f"{text}[N,256]"
    assert pickle.loads(pickle.dumps(format)) == format
    assert format.with_rounding("half_even").with_rounding("half_even") == format.with_rounding("half_even")


def test_every_family_is_tried() -> None:
    tried = {text.partition("<")[0] for text in CANONICAL}
    plain = (Dtype, Code)  # element types: they quantize nothing
    ours = {n: c for n, c in format_families().items() if c.__module__.startswith("mase.")}
    builtin = {n for n, c in ours.items() if c not in plain}
    assert tried == builtin


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("mxint<8>", "mxint<8,32>"),
        ("mxfp4", "mxfp4<32>"),
        ("nvfp4", "nvfp4<16>"),
        ("float<4,3,bias=7>", "float<4,3>"),
        ("denorm<8,4,bias=7,half_even>", "denorm<8,4>"),
        ("log<8,bias=63>", "log<8>"),
        ("bfp<8,8,16,bias=127>", "bfp<8,8,16>"),
        ("uint<8,half_up,channel=0,asym>", "uint<8,asym,channel=0,half_up>"),
        ("fp4_e2m1<half_even>", "fp4_e2m1"),
    ],
)
def test_other_texts_of_the_same(text: str, canonical: str) -> None:
    assert str(parse_format(text)) == canonical
    assert parse_format(text) == parse_format(canonical)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("int", "found 0 numbers; expected int<W>"),
        ("int<0>", "width of 1 to 32"),
        ("int<33>", "width of 1 to 32"),
        ("int<8,asym>", "asym is for unsigned formats, as in uint<8,asym>"),
        ("uint<8,narrow>", "narrow is for signed"),
        ("int<8,group=0>", "groups of at least 1"),
        ("int<8,group=4,channel=1>", "one of channel, group and token"),
        ("int<8,group=x>", "unexpected 'group=x'"),
        ("int<8,assym>", "unexpected 'assym'"),
        ("int<channel=0,8>", "unexpected '8'"),
        ("float<4>", "expected float<E,M>"),
        ("float<9,3>", "1 to 8 exponent bits"),
        ("fp8_e4m3fn<4>", "found 1 numbers"),
        ("denorm<4,4>", "beside them and the sign"),
        ("log<1>", "width of 2 to 10"),
        ("bfp<8,8>", "expected bfp<W,E,B>"),
        ("bfp<8,8,0>", "blocks of at least 1"),
        ("mxint<1>", "width of 2 to 24"),
        ("bminifloat<8,4,9,16>", "shared bias of 1 to 8"),
        ("binary<half_up>", "unexpected 'half_up'"),
        ("binary<channel=0>", "as in binary<scaled,channel=0>"),
    ],
)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(MaseError) as caught:
        parse_format(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "keys", "text"),
    [
        ("integer", {"width": 8, "frac_width": 4}, "fixed<8,4>"),
        ("fixed", {"width": 8, "frac_width": 4, "signed": False}, "ufixed<8,4>"),
        ("int", {"width": 4, "group": 128}, "int<4,group=128>"),
        ("uint", {"width": 4, "signed": False, "asym": True, "rounding": "floor"}, "uint<4,asym,floor>"),
        ("minifloat_ieee", {"width": 8, "exponent_width": 4, "exponent_bias": 7}, "float<4,3>"),
        ("minifloat_ieee", {"width": 8, "exponent_width": 4, "exponent_bias": None}, "float<4,3>"),
        ("minifloat_denorm", {"width": 8, "exponent_width": 4, "exponent_bias": 8}, "denorm<8,4,bias=8>"),
        ("log", {"width": 8, "exponent_bias": "none"}, "log<8>"),
        (
            "block_fp",
            {"width": 8, "exponent_width": 8, "exponent_bias": 127, "block_size": [1, 16]},
            "bfp<8,8,16>",
        ),
        (
            "block_minifloat",
            {"width": 8, "exponent_width": 4, "exponent_bias_width": 8, "block_size": [16]},
            "bminifloat<8,4,8,16>",
        ),
        ("block_log", {"width": 4, "exponent_bias_width": 8, "block_size": 16}, "blog<4,8,16>"),
        ("mxint", {"width": 8, "block_size": 16}, "mxint<8,16>"),
        ("mxint_hardware", {"width": 8, "exponent_width": 8, "parallelism": [1, 4]}, "mxint<8,4>"),
        ("mxint_hardware", {"width": 12, "exponent_width": 6}, "mxint<12,32,exponent=6>"),
        ("mxfp", {"width": 8, "exponent_width": 4, "exponent_bias_width": 8}, "mxfp8_e4m3<32>"),
        ("mxfp", {"width": 4, "exponent_width": 2, "block_size": 8}, "mxfp4<8>"),
        ("binary", {"width": 1, "bipolar": True, "stochastic": False}, "binary"),
        ("ternary", {"width": 2, "scaling_factor": True, "mean": "NA", "max": None}, "ternary<scaled>"),
    ],
)
def test_keyed_style(name: str, keys: dict[str, object], text: str) -> None:
    assert str(format_from_keys(name, keys)) == text
    prefixed = {f"{role}_{key}": value for role in ("data_in", "weight") for key, value in keys.items()}
    found = formats_by_role({"name": name, **prefixed}, ("data_in", "weight", "bias"))
    assert {role: str(format) for role, format in found.items()} == {"data_in": text, "weight": text}


@pytest.mark.parametrize(
    ("name", "keys", "message"),
    [
        ("minifloat_ieee", {"width": 8}, "'exponent_width' is missing"),
        ("minifloat_ieee", {"width": 8, "exponent_width": 4, "frac_width": 3}, "unknown 'frac_width'"),
        (
            "block_fp",
            {"width": 8, "exponent_width": 8, "block_size": [4, 16]},
            "blocks run along the last dimension",
        ),
        ("ternary", {"width": 2, "mean": 0.3}, "mean is taken from the data"),
        ("binary", {"stochastic": True}, "not stochastic"),
        ("mxfp", {"width": 7, "exponent_width": 4}, "expected width and exponent_width"),
    ],
)
def test_keyed_style_refused(name: str, keys: dict[str, object], message: str) -> None:
    with pytest.raises(MaseError) as caught:
        format_from_keys(name, keys)
    assert message in str(caught.value)


# ------------------------------------------------------------------------------------- of every format


@pytest.mark.parametrize("text", COMPLETE)
def test_codes_fit_and_come_back(text: str) -> None:
    format = parse_format(text)
    x = torch.cat([random_bits(991), torch.randn(1000, generator=torch.manual_seed(0))]).view(40, -1)
    found = encode(x, text)
    codes = found.codes if isinstance(found, Encoded) else found
    assert isinstance(found, Encoded) == (format.scale_bits > 0)
    assert codes.shape == x.shape
    assert not codes.dtype.is_floating_point
    assert int(codes.max()) - int(codes.min()) < 2**format.bits
    assert codes.element_size() * 8 < max(16, 4 * format.bits)
    result = quantize(x, text)
    assert result.dtype == x.dtype
    assert result.isfinite().all()
    assert torch.equal(decode(found, text).to(x.dtype), result)
    assert bool(((result >= format.min) & (result <= format.max)).all())
    assert all(format.contains(v) for v in result.flatten()[:200].tolist())


@pytest.mark.parametrize("text", COMPLETE)
def test_nan_stays_alone(text: str) -> None:
    x = torch.tensor([[1.0, math.nan, -0.5, 2.0]])
    found = quantize(x, text)
    assert found.isnan().tolist() == [[False, True, False, False]]
    without = quantize(torch.tensor([[1.0, 0.0, -0.5, 2.0]]), text)
    keep = torch.tensor([0, 2, 3])
    if "ternary" not in text and "binary" not in text:  # whose mean is that of the others
        assert torch.equal(found[:, keep], without[:, keep])


@given(st.sampled_from(COMPLETE), st.sampled_from(ROUNDINGS), st.integers(0, 2**16))
def test_given_the_scale_idempotent(text: str, rounding: str, seed: int) -> None:
    format = parse_format(text).with_rounding(rounding)
    if rounding == "floor" and str(format).startswith(("int", "uint", "nvfp4")):
        return  # the quotient of a rounded product may fall below the code that it came from
    x = torch.randn(2, 20, generator=torch.manual_seed(seed)) * 2.0 ** (seed % 40 - 20)
    found = encode(x, format)
    scale = found.scale if isinstance(found, Encoded) else None
    once = quantize(x, format)
    assert torch.equal(quantize(once, format, scale=scale), once)


@pytest.mark.parametrize("text", COMPLETE)
def test_storage(text: str) -> None:
    format = parse_format(text)
    shape = (6, 256)
    total = format.storage_bits(shape)
    assert total >= 6 * 256 * format.bits
    large = format.storage_bits((1024, 1024)) / 2**20
    assert abs(large - format.average_bits) < 0.1
    assert type(kernel_of(format)).__module__.startswith("mase.")


def test_rounding_of_a_whole_graph_reaches_every_family() -> None:
    still = [t for t in COMPLETE if str(parse_format(t).with_rounding("floor")) == t and "floor" not in t]
    assert {t.partition("<")[0] for t in still} == {"binary", "ternary"}

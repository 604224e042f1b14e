"""The native kernels give the bits of the reference, for every family, shape and layout in memory."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from mase.ir import Format, parse_format
from mase.runtime import native
from mase.runtime.kernels import fake_quantize, kernel_of, quantize
from mase.runtime.modules import LinearInteger

needs_native = pytest.mark.skipif(native.status() != "native", reason=native.status())
pytestmark = needs_native

ROUNDINGS = ("half_even", "half_up", "floor")
FIXED = ("fixed<8,4>", "ufixed<3,-2>", "fixed<8,0,narrow>", "fixed<22,126>", "fixed<32,10>", "fixed<4,-120>")
INTEGERS = ("int<8>", "int<1>", "int<24>", "int<2,narrow>", "uint<8>", "uint<8,asym>", "uint<24,asym,token>")
RUNS = ("int<4,channel=0>", "int<8,channel=1>", "int<4,group=32>", "uint<4,asym,group=7>", "int<8,token>")
FLOATS = ("float<4,3>", "float<5,10>", "float<7,23>", "float<2,1>", "float<3,0>", "float<8,7,bias=200>")
SMALL = ("denorm<8,4>", "denorm<8,3,bias=40>", "fp8_e4m3fn", "fp8_e5m2", "fp6_e3m2", "fp6_e2m3", "fp4_e2m1")
MX = ("mxint<8,32>", "mxint<24,5>", "mxfp8_e4m3<32>", "mxfp8_e5m2<16>", "mxfp6_e3m2<32>", "mxfp4<7>")
BLOCKS = ("bfp<8,8,16>", "bfp<25,8,32>", "bfp<5,4,8>", "bminifloat<8,4,8,16>", "bminifloat<6,3,4,32>")
ALL = (*FIXED, *INTEGERS, *RUNS, *FLOATS, *SMALL, *MX, *BLOCKS)


def plan(format: Format | str, x: Tensor) -> native.Plan:
    format = parse_format(format) if isinstance(format, str) else format
    found = native.plan_for(format, x)
    assert found is not None
    return found


def words(*shape: int) -> Tensor:
    """Random bit patterns: every exponent, subnormals, infinities and NaN."""
    count = math.prod(shape)
    bits = torch.randint(-(2**31), 2**31, (count,), generator=torch.Generator().manual_seed(count))
    return bits.to(torch.int32).view(torch.float32).view(shape)


def inputs() -> Iterator[Tensor]:
    torch.manual_seed(0)
    yield words(64, 96)
    finite = words(32, 65)
    yield finite.masked_fill(~finite.isfinite(), 0)
    yield torch.randn(4, 8, 5, 17) * 3
    yield torch.randint(-80, 80, (33, 64)) * 0.125  # ties
    yield torch.tensor([0.0, -0.0, math.inf, -math.inf, math.nan, 1e-45, -1e-45, 3.4e38] * 5)
    yield from (torch.tensor(2.7), torch.empty(0), torch.empty(3, 0), torch.empty(0, 3), torch.zeros(8, 32))
    yield from (torch.randn(n) for n in (1, 7, 31, 33))
    yield torch.randn(17, 65)[1:, 1:]  # aligned to no vector
    yield torch.randn(16, 9, 24)[:, ::2]
    yield torch.randn(24, 16).t()
    yield torch.randn(2, 12, 6, 6).contiguous(memory_format=torch.channels_last)
    yield torch.randn(5, 1).expand(5, 40)


def same_bits(a: Tensor, b: Tensor) -> bool:
    nan = a.isnan()
    words = (t.masked_fill(nan, 0).contiguous().view(torch.int32) for t in (a, b))
    return a.dtype == b.dtype and torch.equal(nan, b.isnan()) and torch.equal(*words)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("text", ALL)
def test_bits_of_the_reference(text: str, rounding: str) -> None:
    format = parse_format(text).with_rounding(rounding)
    kernel = kernel_of(format)
    compared = 0
    for x in inputs():
        if (found := native.plan_for(format, x)) is None:
            continue
        expected, result = kernel.quantize(x, format), found.quantize(x)
        assert same_bits(result, expected), f"{tuple(x.shape)} {x.stride()}"
        assert result.shape == x.shape
        compared += 1
    assert compared >= 3


@pytest.mark.parametrize("text", ALL)
def test_gradients_of_the_reference(text: str) -> None:
    format = parse_format(text)
    for x in inputs():
        x = x.masked_fill(x.isnan(), 1.0)  # for NaN, ATen's own vectorized and scalar code differ
        if (found := native.plan_for(format, x)) is None:
            continue
        gradient = torch.randn(x.shape)
        expected = kernel_of(format).pass_gradient(gradient, x, format)
        assert torch.equal(found.pass_gradient(gradient, x), expected)
        swapped = torch.randn(x.shape[::-1]).permute(list(range(x.dim()))[::-1])  # strides of its own
        expected = kernel_of(format).pass_gradient(swapped, x, format)
        assert torch.equal(found.pass_gradient(swapped, x), expected)


@given(
    text=st.sampled_from(ALL),
    rounding=st.sampled_from(ROUNDINGS),
    values=st.lists(st.floats(width=32), min_size=1, max_size=70),
)
def test_any_floats(text: str, rounding: str, values: list[float]) -> None:
    format = parse_format(text).with_rounding(rounding)
    x = torch.tensor(values)
    if (found := native.plan_for(format, x)) is not None:
        assert same_bits(found.quantize(x), kernel_of(format).quantize(x, format))


@pytest.mark.parametrize("text", ["fixed<8,4>", "int<8>", "int<8,channel=0>", "float<4,3>", "mxfp4<32>"])
def test_threads_change_nothing(text: str) -> None:
    x = torch.randn(3, 70001)
    threads = torch.get_num_threads()
    results: list[Tensor] = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            results.append(plan(text, x).quantize(x))
    finally:
        torch.set_num_threads(threads)
    assert all(same_bits(r, results[0]) for r in results)


def test_large_results() -> None:
    x = torch.randn(1 << 21)[3:]
    format = parse_format("int<8>")
    assert same_bits(quantize(x, format), kernel_of(format).quantize(x, format))


def test_layout_of_the_input_is_kept() -> None:
    x = torch.randn(2, 12, 6, 6).contiguous(memory_format=torch.channels_last)
    assert quantize(x, "fixed<8,4>").is_contiguous(memory_format=torch.channels_last)
    assert quantize(x, "int<8>").is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("clip_grad", [True, False])
@pytest.mark.parametrize("text", ["fixed<8,4>", "int<8,channel=0>", "float<4,3>", "mxint<8,32>"])
def test_autograd_reaches_the_kernels(text: str, clip_grad: bool) -> None:
    x = (torch.randn(8, 64) * 1000).requires_grad_()
    gradient = torch.randn(8, 64)
    (found,) = torch.autograd.grad(fake_quantize(x, text, clip_grad), x, gradient)
    format = parse_format(text)
    expected = kernel_of(format).pass_gradient(gradient, x.detach(), format) if clip_grad else gradient
    assert torch.equal(found, expected)


def test_gradient_passes_untouched_where_nothing_clips() -> None:
    x, gradient = torch.randn(64), torch.randn(64)
    assert plan("int<8>", x).pass_gradient(gradient, x) is gradient
    x[3] = math.inf
    assert plan("int<8>", x).pass_gradient(gradient, x)[3] == 0


def test_what_the_reference_must_do() -> None:
    format = parse_format("fixed<8,4>")
    x = torch.randn(8)
    assert native.plan_for(format, x) is not None
    for other in (x.double(), x.half(), x.bfloat16(), x.to("meta"), x.to_sparse()):
        assert native.plan_for(format, other) is None
    assert native.plan_for(format, torch.ones(2, dtype=torch.complex64).conj().imag) is None
    with FlopCounterMode(display=False):
        assert native.plan_for(format, x) is None
    assert native.plan_for(parse_format("fixed<8>"), x) is None
    assert native.plan_for(parse_format("int<25>"), x) is None
    assert native.plan_for(parse_format("int<8,channel=1>"), x) is None
    assert native.plan_for(parse_format("log<8>"), x) is None


def test_modules_are_copied_and_pickled() -> None:
    layer = LinearInteger(6, 5, config={"data_in": "fixed<8,4>", "weight": "fixed<4,3>"})
    x = torch.randn(2, 6)
    expected = layer(x)
    for copied in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(copied(x), expected)


def test_forward_mode_is_refused_and_not_forgotten() -> None:
    with torch.autograd.forward_ad.dual_level():
        x = torch.autograd.forward_ad.make_dual(torch.ones(2), torch.ones(2))
        with pytest.raises(RuntimeError, match="jvp"):
            fake_quantize(x, "fixed<8,4>")


def test_traces_hold_what_is_computed() -> None:
    x, y = torch.randn(2, 8)
    traced = torch.jit.trace(lambda t: quantize(t, "fixed<8,4>"), x)
    assert torch.equal(traced(y), quantize(y, "fixed<8,4>"))

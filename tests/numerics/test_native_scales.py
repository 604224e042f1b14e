"""Native kernels with given scales: values, gradients, learning and observing, beside the reference."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from mase.ir import MaseError, parse_format
from mase.ir.formats import Integer
from mase.runtime import native
from mase.runtime.kernels import Scale, fake_quantize, kernel_of, quantize, scale_of
from mase.runtime.kernels.learned import learned_gradients
from mase.runtime.kernels.moving import fake_quantize_moving

needs_native = pytest.mark.skipif(native.status() != "native", reason=native.status())
WHOLE = ("int<8>", "int<2,narrow>", "uint<8>", "uint<8,asym>")
RUNS = ("int<8,channel=0>", "int<8,channel=1>", "int<4,group=32>", "uint<4,asym,group=7>", "int<8,token>")
SHAPES = ((64, 96), (3, 5, 37), (3, 0), (1, 33), (2, 70001))


def formatted(text: str, rounding: str = "half_even") -> Integer:
    format = parse_format(text).with_rounding(rounding)
    assert isinstance(format, Integer)
    return format


def case(format: Integer, shape: tuple[int, ...]) -> tuple[Tensor, Tensor, Scale]:
    """Values of which some lie outside, a gradient, and scales from other values."""
    torch.manual_seed(0)
    x = torch.randn(shape) * 2
    x.view(-1)[:2] = torch.tensor([math.inf, -0.0])[: x.numel()]
    scale = scale_of(torch.randn(shape).clamp(-1.5, 1.5), format)
    assert scale is not None
    return x, torch.randn(shape), scale


def fits(format: Integer, shape: tuple[int, ...]) -> bool:
    return format.channel is None or math.prod(shape[format.channel + 1 :]) >= 8


@needs_native
@pytest.mark.parametrize("rounding", ["half_even", "half_up", "floor"])
@pytest.mark.parametrize("text", WHOLE + RUNS)
@pytest.mark.parametrize("shape", SHAPES)
def test_as_the_reference(text: str, shape: tuple[int, ...], rounding: str) -> None:
    format = formatted(text, rounding)
    if not fits(format, shape):
        pytest.skip("short runs are left to torch")
    x, gradient, scale = case(format, shape)
    assert scale.value is not None
    plan = native.scaled_plan_for(format, x, scale.value)
    assert plan is not None
    kernel = kernel_of(format)
    values = plan.quantize_with(x, scale.value, scale.zero_point)
    assert torch.equal(values.view(torch.int32), kernel.quantize(x, format, scale).view(torch.int32))
    clipped, nothing = plan.gradients(gradient, x, scale.value, scale.zero_point)
    assert nothing is None
    assert torch.equal(clipped, kernel.pass_gradient(gradient, x, format, scale))


@torch.no_grad()
@pytest.mark.parametrize("text", WHOLE + RUNS)
@pytest.mark.parametrize("shape", SHAPES)
def test_learning(text: str, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    format = formatted(text)
    x, gradient, scale = case(format, shape)
    x = x.nan_to_num(posinf=50.0)
    found = learned_gradients(gradient, x, format, scale)
    with monkeypatch.context() as patch:
        patch.setattr(native, "scaled_plan_for", lambda *_: None)
        expected = learned_gradients(gradient, x, format, scale)
    assert torch.equal(found[0], expected[0])
    assert found[1].shape == expected[1].shape
    assert found[1].dtype == torch.float64
    assert torch.allclose(found[1], expected[1], rtol=1e-12, atol=1e-9)


def test_learning_is_the_derivative() -> None:
    """By the scale, with the rounded quotient held fixed inside of the range as LSQ does."""
    format = formatted("int<4>")
    x, gradient, _ = case(format, (4, 50))
    x = x.nan_to_num(posinf=9.0)
    s = torch.tensor(0.21, dtype=torch.float64, requires_grad=True)
    q = (x.double() / s).clamp(-8, 7)
    q = q + (q.round() - q).detach()
    (gradient * q * s).sum().backward()
    assert s.grad is not None
    with torch.no_grad():
        _, by_scale = learned_gradients(gradient, x, format, Scale(torch.tensor(0.21)))
    assert by_scale.item() == pytest.approx(s.grad.item(), rel=1e-4)


@needs_native
@torch.no_grad()
def test_threads_change_no_sum() -> None:
    format = formatted("int<8>")
    x, gradient, scale = case(format, (2, 70001))
    x = x.nan_to_num(posinf=1.0)
    threads = torch.get_num_threads()
    sums: list[Tensor] = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            sums.append(learned_gradients(gradient, x, format, scale)[1])
    finally:
        torch.set_num_threads(threads)
    assert len({total.item() for total in sums}) == 1


@pytest.mark.parametrize("text", ["int<8>", "uint<8,asym>"])
def test_moving_ranges(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    format = formatted(text)
    torch.manual_seed(0)
    batches = [torch.randn(5, 7001) * k for k in (1, 2, 3)]
    batches[1][0, :2] = torch.tensor([math.inf, math.nan])

    def run(range: Tensor) -> list[Tensor]:
        return [fake_quantize_moving(x, format, range, 0.25).nan_to_num() for x in batches]

    range, other = torch.full((2,), math.nan), torch.full((2,), math.nan)
    values = run(range)
    with monkeypatch.context() as patch:
        patch.setattr(native, "scaled_plan_for", lambda *_: None)
        expected = run(other)
    assert torch.equal(range, other)
    assert all(torch.equal(a, b) for a, b in zip(values, expected, strict=True))
    assert torch.equal(values[0], quantize(batches[0], format))  # the first call looks ahead
    assert range[0] < batches[0].min()


def test_moving_ranges_clip_gradients() -> None:
    range = torch.tensor([-1.0, 1.0])
    x = torch.tensor([0.5, 3.0], requires_grad=True)
    fake_quantize_moving(x, Integer(8), range, 0.0).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1.0, 0.0]
    assert range.tolist() == [-1.0, 1.0]
    with pytest.raises(MaseError, match="several scales"):
        fake_quantize_moving(x, Integer(8, channel=0), range)
    assert fake_quantize_moving(torch.empty(0), Integer(8), range).shape == (0,)


def test_given_scales_reach_the_kernels_through_autograd() -> None:
    format = formatted("int<8,channel=0>")
    x, gradient, scale = case(format, (64, 96))
    x = x.requires_grad_()
    y = fake_quantize(x, format, scale=scale)
    (found,) = torch.autograd.grad(y, x, gradient)
    assert torch.equal(y, kernel_of(format).quantize(x.detach(), format, scale))
    assert torch.equal(found, kernel_of(format).pass_gradient(gradient, x.detach(), format, scale))

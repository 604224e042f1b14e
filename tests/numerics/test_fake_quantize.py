"""The straight-through estimator, and what autograd expects of it."""

import math

import pytest
import torch

from mase.ir import Fixed, MaseError, parse_format
from mase.runtime.kernels import Kernel, fake_quantize, kernel_of, register_kernel

FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


@pytest.mark.parametrize("dtype", FLOATS)
def test_gradient_is_one_inside_the_range(dtype: torch.dtype) -> None:
    format = Fixed(8, 4)
    inside = [format.min, -8.0, 0.0, -0.0, 0.03, format.max]
    outside = [math.inf, -math.inf, 8.0, -8.0625, 100.0]
    x = torch.tensor(inside + outside, dtype=dtype, requires_grad=True)
    weight = torch.arange(1.0, 12.0, dtype=dtype)
    (fake_quantize(x, format) * weight).sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == dtype
    assert x.grad.tolist() == [1, 2, 3, 4, 5, 6, 0, 0, 0, 0, 0]


def test_gradient_passes_everywhere_when_not_clipped() -> None:
    x = torch.tensor([-math.inf, 0.0, 100.0], requires_grad=True)
    fake_quantize(x, "fixed<8,4>", clip_grad=False).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1, 1, 1]


def test_saves_nothing_but_its_input() -> None:
    x = torch.randn(1000, requires_grad=True)
    saved: list[torch.Tensor] = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        saved.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        y = fake_quantize(x, "fixed<8,4>")
    assert [t.data_ptr() for t in saved] == [x.data_ptr()]
    assert y.data_ptr() != x.data_ptr()


def test_transforms_of_torch_func() -> None:
    x = torch.linspace(-10, 10, 8)
    gradient = torch.func.grad(lambda t: fake_quantize(t, "fixed<8,4>").sum())(x)
    assert gradient.tolist() == [0, 1, 1, 1, 1, 1, 1, 0]
    batched = torch.func.vmap(lambda t: fake_quantize(t, "fixed<8,4>"))(x.view(2, 4))
    assert torch.equal(batched.flatten(), fake_quantize(x, "fixed<8,4>"))


def test_second_derivative_is_zero() -> None:
    x = torch.tensor([1.0], requires_grad=True)
    (first,) = torch.autograd.grad((fake_quantize(x, "fixed<8,4>") ** 3).sum(), x, create_graph=True)
    assert first.item() == 3.0
    (second,) = torch.autograd.grad(first, x)
    assert second.item() == 6.0  # through the cube, with 1 as the derivative of the quantizer


def test_empty_and_strided_tensors() -> None:
    assert fake_quantize(torch.empty(0, 3), "fixed<8,4>").shape == (0, 3)
    x = torch.randn(6, 8).t()[::2]
    assert torch.equal(fake_quantize(x, "fixed<8,4>"), fake_quantize(x.contiguous(), "fixed<8,4>"))


def test_incomplete_and_unknown_formats_say_so() -> None:
    with pytest.raises(MaseError, match="fixed<8> is not complete"):
        fake_quantize(torch.zeros(1), "fixed<8>")
    with pytest.raises(MaseError, match="did you mean 'fixed'"):
        fake_quantize(torch.zeros(1), "fixd<8,4>")


def test_a_family_joins_with_one_class() -> None:
    class Thirds(Fixed):
        """Multiples of 1/3."""

    @register_kernel(Thirds)
    class _Kernel(Kernel[Thirds]):
        def encode(self, x: torch.Tensor, format: Thirds) -> torch.Tensor:
            return (x * 3).round().to(torch.int8)

        def decode(self, codes: torch.Tensor, format: Thirds) -> torch.Tensor:
            return codes / 3

        def quantize(self, x: torch.Tensor, format: Thirds) -> torch.Tensor:
            return self.decode(self.encode(x, format), format)

        def pass_gradient(self, gradient: torch.Tensor, x: torch.Tensor, format: Thirds) -> torch.Tensor:
            return gradient

    assert isinstance(kernel_of(Thirds(8, 0)), _Kernel)
    assert fake_quantize(torch.tensor([0.3]), Thirds(8, 0)).item() == pytest.approx(1 / 3)
    assert type(kernel_of(parse_format("fixed<8,4>"))) is not _Kernel

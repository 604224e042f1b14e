"""Machine element types as formats."""

import math

import ml_dtypes
import numpy as np
import pytest
import torch

from mase.ir import MaseError
from mase.runtime.kernels import decode, encode, fake_quantize, quantize


def _bits(count: int = 20000) -> torch.Tensor:
    words = torch.randint(-(2**31), 2**31, (count,), generator=torch.manual_seed(0))
    return words.to(torch.int32).view(torch.float32)


@pytest.mark.parametrize(("text", "dtype"), [("bf16", ml_dtypes.bfloat16), ("f16", np.float16)])
def test_agrees_with_other_casts(text: str, dtype: type) -> None:
    x = _bits()
    with np.errstate(over="ignore", invalid="ignore"):
        expected = torch.from_numpy(x.numpy().astype(dtype).astype(np.float32))
    found = quantize(x, text)
    assert torch.equal(found.isnan(), expected.isnan())
    keep = ~expected.isnan()
    assert torch.equal(found[keep].view(torch.int32), expected[keep].view(torch.int32))


@pytest.mark.parametrize("text", ["f64", "f32", "f16", "bf16"])
def test_float_codes_are_bits(text: str) -> None:
    x = torch.tensor([1.0, -2.5, 0.0, math.inf])
    assert torch.equal(decode(encode(x, text), text).float(), x)
    assert torch.equal(quantize(x, text), x)


@pytest.mark.parametrize("text", ["i8", "u8", "i16", "i32", "i64"])
def test_integers_round_to_even_and_saturate(text: str) -> None:
    dtype = {"u8": torch.uint8}.get(text, getattr(torch, text.replace("i", "int"), None))
    info = torch.iinfo(dtype)
    x = torch.tensor([0.5, 1.5, 2.5, math.inf, -math.inf, 100.0])
    assert encode(x, text).tolist() == [0, 2, 2, info.max, info.min, 100]
    assert encode(x, text).dtype == dtype
    with pytest.raises(MaseError, match="NaN"):
        encode(torch.tensor([math.nan]), text)
    assert quantize(torch.tensor([math.nan, 0.5]), text).isnan().tolist() == [True, False]


def test_bool() -> None:
    assert encode(torch.tensor([0.0, 0.3]), "bool").tolist() == [False, True]
    assert quantize(torch.tensor([0.0, 0.3]), "bool").tolist() == [0.0, 1.0]


def test_gradients() -> None:
    x = torch.tensor([1.0, 300.0], requires_grad=True)
    fake_quantize(x, "bf16").sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1, 1]
    x.grad = None
    fake_quantize(x, "u8").sum().backward()
    assert x.grad.tolist() == [1, 0]

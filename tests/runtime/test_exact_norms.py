"""Integer norms: the definition in Python's integers, the stated error, order, bounds, integers only."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mase.ir import Fixed, MaseError
from mase.ir.ops.exact import Norm
from mase.runtime.exact.norms import norm, normalized
from tests.runtime.integers_only import integers_only


def rne(numerator: int, bits: int) -> int:
    return round(Fraction(numerator, 2**bits)) if bits > 0 else numerator * 2**-bits


def by_hand(row: list[int], weight: list[int], bias: list[int], p: Norm) -> list[int]:
    n, total = len(row), sum(row) if p.centered else 0
    squares = n * sum(c * c for c in row) - total * total
    root = max(math.isqrt(squares * 4**p.root_bits + p.eps), 1)
    one_over = (2**p.reciprocal_bits + root // 2) // root
    found = list[int]()
    frac = p.frac + (p.weight_frac or 0)
    for code, w, b in zip(row, weight, bias, strict=True):
        y = rne((n * code - total) * one_over, p.reciprocal_bits - p.root_bits - p.frac)
        z = y * w + rne(b, (p.bias_frac or 0) - frac)
        found.append(min(max(rne(z, frac - p.out.frac), p.out.code_min), p.out.code_max))
    return found


@settings(max_examples=40)
@given(st.data(), st.booleans(), st.sampled_from([4, 8, 16]), st.integers(-4, 12))
def test_is_the_definition(data: Any, centered: bool, width: int, frac: int) -> None:
    source, weight, bias = Fixed(width, frac), Fixed(8, 6), Fixed(16, data.draw(st.sampled_from([4, 12, 40])))
    codes = st.integers(source.code_min, source.code_max)
    row = data.draw(st.lists(codes, min_size=1, max_size=12))
    p = Norm.of(source, Fixed(8, 4), count=len(row), eps=1e-5, centered=centered, weight=weight, bias=bias)
    w = data.draw(st.lists(st.integers(-128, 127), min_size=len(row), max_size=len(row)))
    b = data.draw(st.lists(st.integers(-(2**15), 2**15 - 1), min_size=len(row), max_size=len(row)))
    with integers_only():
        found = norm(p, torch.tensor(row), weight=torch.tensor(w), bias=torch.tensor(b))
    assert found.tolist() == by_hand(row, w, b, p)


def exact(codes: Tensor, frac: int, eps: float, centered: bool) -> Tensor:
    """The norm in float64, of numbers whose moments float64 computes exactly."""
    x = codes.double() * 2.0**-frac
    count = codes.shape[-1]
    squares = count * (codes * codes).sum(-1, keepdim=True)
    if centered:
        squares = squares - codes.sum(-1, keepdim=True) ** 2
        x = x - x.mean(-1, keepdim=True)
    variance = squares.double() / count**2 * 4.0**-frac
    return x / (variance + eps).sqrt()


@pytest.mark.parametrize("centered", [True, False])
@pytest.mark.parametrize("eps", [1e-5, 1e-12, 0.1])
@pytest.mark.parametrize(("width", "frac"), [(4, 2), (8, 5), (12, 3), (16, 10), (18, -2)])
@pytest.mark.parametrize("count", [2, 3, 64, 768, 4096])
def test_error_is_within_the_bound(count: int, width: int, frac: int, eps: float, centered: bool) -> None:
    source = Fixed(width, frac)
    generator = torch.manual_seed(count)
    spreads = 2.0 ** torch.arange(width)[:, None]
    codes = (torch.randn(width, count, generator=generator) * spreads).round().long()
    codes = codes.clamp(source.code_min, source.code_max)
    codes[0, :1] += 1  # not all the same
    p = Norm.of(source, Fixed(16, 8), count=count, eps=eps, centered=centered)
    true = exact(codes, frac, eps, centered)
    squares = count * (codes * codes).sum(-1, keepdim=True)
    if centered:
        squares -= codes.sum(-1, keepdim=True) ** 2
    root = ((squares.double() * 4.0**p.root_bits) + p.eps).sqrt().floor()
    varied = (squares > 0).flatten()
    allowed = true.abs() * (1 / root + 2.0**-20) + 2.0 ** -(p.frac + 1) + 1e-12
    error = (normalized(p, codes).double() * 2.0**-p.frac - true).abs()
    assert bool((error <= allowed)[varied].all())
    # What the formats of the result and of the weight make of it.
    result = norm(p, codes).double() * p.out.step
    within = (true.abs() < p.out.max - 1) & varied[:, None]
    assert bool(((result - true).abs() <= p.out.step / 2 + allowed)[within].all())
    assert bool((root >= 2.0**p.root_bits * math.sqrt(max(count - 1, 1)) - 1)[varied].all())


@pytest.mark.parametrize("centered", [True, False])
def test_every_row_of_three_4_bit_codes(centered: bool) -> None:
    codes = torch.cartesian_prod(*[torch.arange(-8, 8)] * 3)
    p = Norm.of(Fixed(4, 2), Fixed(16, 12), count=3, eps=1e-5, centered=centered)
    error = normalized(p, codes).double() * 2.0**-p.frac - exact(codes, 2, 1e-5, centered)
    assert float(error.abs().max()) < 2.0**-16


def test_agrees_with_torch() -> None:
    generator = torch.manual_seed(0)
    source, w, b, out = Fixed(16, 10), Fixed(8, 6), Fixed(8, 4), Fixed(16, 11)
    codes = torch.randint(-(2**13), 2**13, (20, 768), generator=generator)
    weight = torch.randint(-128, 128, (768,), generator=generator)
    bias = torch.randint(-128, 128, (768,), generator=generator)
    x, gamma, beta = (c.double() * f.step for c, f in ((codes, source), (weight, w), (bias, b)))
    for centered, expected in (
        (True, F.layer_norm(x, (768,), gamma, beta, 1e-5)),
        (False, F.rms_norm(x, (768,), gamma, 1e-5) + beta),
    ):
        p = Norm.of(source, out, count=768, eps=1e-5, centered=centered, weight=w, bias=b)
        found = norm(p, codes, weight=weight, bias=bias).double() * out.step
        assert float((found - expected).abs().max()) <= out.step / 2 + 1e-5


@given(st.lists(st.integers(-128, 127), min_size=2, max_size=30), st.booleans())
def test_keeps_the_order(row: list[int], centered: bool) -> None:
    p = Norm.of(Fixed(8, 4), Fixed(8, 5), count=len(row), eps=1e-5, centered=centered)
    assert bool((norm(p, torch.tensor(sorted(row))).diff() >= 0).all())


@pytest.mark.parametrize("eps", [0.0, 1e-5, 1e-30])
def test_rows_without_variance_are_the_bias(eps: float) -> None:
    bias = Fixed(8, 4)
    for centered, value in ((True, 77), (True, 0), (False, 0)):
        p = Norm.of(Fixed(8, 4), Fixed(8, 4), count=5, eps=eps, centered=centered, bias=bias)
        codes, shift = torch.full((2, 5), value), torch.arange(5)
        assert norm(p, codes, bias=shift).tolist() == [[0, 1, 2, 3, 4]] * 2


@pytest.mark.parametrize("count", [2, 768, 4096])
@pytest.mark.parametrize("width", [2, 8, 16, 18])
def test_the_largest_numbers_do_not_overflow(width: int, count: int) -> None:
    """One number far from all others, and halves at both ends."""
    source = Fixed(width, 4)
    weight, bias = Fixed(16, 12), Fixed(16, 12)
    p = Norm.of(source, Fixed(16, 6), count=count, eps=1e-5, centered=True, weight=weight, bias=bias)
    rows = torch.full((2, count), source.code_min)
    rows[0, 0] = rows[1, ::2] = source.code_max
    w = torch.full((count,), weight.code_min)
    b = torch.full((count,), bias.code_max)
    found = norm(p, rows, weight=w, bias=b)
    for i in range(2):
        assert found[i].tolist() == by_hand(rows[i].tolist(), w.tolist(), b.tolist(), p)


def test_several_dimensions() -> None:
    p = Norm.of(Fixed(8, 4), Fixed(8, 4), count=12, eps=1e-5, centered=True, dims=2)
    flat = Norm.of(Fixed(8, 4), Fixed(8, 4), count=12, eps=1e-5, centered=True)
    codes = torch.randint(-128, 128, (2, 3, 4), generator=torch.manual_seed(0))
    found = norm(p, codes)
    assert torch.equal(found, norm(flat, codes.flatten(1)).view(2, 3, 4))


def test_refused() -> None:
    with pytest.raises(MaseError, match="leaves the range of 64-bit"):
        Norm.of(Fixed(24, 8), Fixed(8, 4), count=4096, eps=1e-5, centered=True)
    with pytest.raises(MaseError, match="leaves the range of 64-bit"):
        Norm.of(Fixed(8, 4), Fixed(32, 30), count=64, eps=1e-5, centered=True, weight=Fixed(32, 4))

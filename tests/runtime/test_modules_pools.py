"""Average pools against the int64 oracle, and against the true mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mase.ir import Fixed
from mase.runtime import modules as M
from mase.runtime.kernels import quantize
from mase.runtime.modules.average import reciprocal_bits
from tests.numerics import integers
from tests.runtime.exactness import Ints, check, codes, config, run, ties

POOLS: list[dict[str, Any]] = [
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 2},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False},
    {"kernel_size": 3, "stride": 2, "ceil_mode": True},
    {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
    {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True, "count_include_pad": False},
    {"kernel_size": 2, "stride": 3, "ceil_mode": True},
]


def _expected_average(x: Tensor, c: Ints, windows: Any, divisor: int | None, width: int) -> tuple[Ints, int]:
    counts = np.ones(1, np.int64)
    for line in windows:
        counts = np.multiply.outer(counts, np.array([e - s for s, e in line]))
    counts = counts[0]
    terms = int(counts.max())
    if divisor:
        counts = np.full_like(counts, divisor)
    frac = reciprocal_bits(width, max(terms, divisor or 0))
    factors = np.vectorize(lambda n: integers.rne_ratio(2**frac, int(n)))(counts)
    return integers.pool_sum(c, windows) * factors, frac


@pytest.mark.parametrize("width", [4, 8, 16])
@pytest.mark.parametrize("arguments", POOLS, ids=str)
@pytest.mark.parametrize(("rank", "divisor"), [(1, None), (2, None), (2, 5)])
def test_average_pool(rank: int, divisor: int | None, arguments: dict[str, Any], width: int) -> None:
    override = {"divisor_override": divisor} if divisor else {}
    formats = config(width, 3, "data_in")
    module = (M.AvgPool1dInteger, M.AvgPool2dInteger)[rank - 1](**arguments, **override, config=formats)
    plain = (nn.AvgPool1d, nn.AvgPool2d)[rank - 1](**arguments, **override)
    format = Fixed(width, 3)
    x = ties(2, 3, *(9, 7)[:rank], format=format)
    c = codes(x, format)
    k, s, p = (arguments.get(n, d) for n, d in (("kernel_size", 2), ("stride", None), ("padding", 0)))
    outputs = plain(x).shape[2:]
    windows = []
    for size, n in zip(x.shape[2:], outputs, strict=True):
        spans = [(i * (s or k) - p, min(i * (s or k) - p + k, size + p)) for i in range(n)]
        clip = arguments.get("count_include_pad", True)
        windows.append(spans if clip else [(max(a, 0), min(b, size)) for a, b in spans])
    expected, frac = _expected_average(x, c, windows, divisor, width)
    result = check(module, (x,), expected, 3 + frac)
    on_grid = torch.from_numpy(c).float() / 8
    assert torch.allclose(result, plain(on_grid), atol=format.step / 2, rtol=0)


@pytest.mark.parametrize("width", [4, 8, 16])
@pytest.mark.parametrize("size", [1, 3, (2, 5), (None, 4), (9, 7)])
def test_adaptive_average_pool(size: Any, width: int) -> None:
    format = Fixed(width, 3)
    x = ties(2, 3, 9, 7, format=format)
    c = codes(x, format)
    module = M.AdaptiveAvgPool2dInteger(size, config=config(width, 3, "data_in"))
    plain = nn.AdaptiveAvgPool2d(size)
    outputs = plain(x).shape[2:]
    windows = [
        [(i * n // out, -(-(i + 1) * n // out)) for i in range(out)]
        for n, out in zip(x.shape[2:], outputs, strict=True)
    ]
    expected, frac = _expected_average(x, c, windows, None, width)
    result = check(module, (x,), expected, 3 + frac)
    assert torch.allclose(result, plain(torch.from_numpy(c).float() / 8), atol=format.step / 2, rtol=0)


def test_adaptive_average_pool_of_lines() -> None:
    module = M.AdaptiveAvgPool1dInteger(3, config={"data_in": "fixed<8,4>"})
    x = torch.randn(2, 3, 7)
    assert torch.allclose(run(module, x), nn.AdaptiveAvgPool1d(3)(quantize(x, "fixed<8,4>")), atol=1 / 32)


def test_average_of_an_odd_number_rounds_as_the_true_mean() -> None:
    """numerics.md: the reciprocal is precise enough that only exact ties could differ, and 49 has none."""
    module = M.AdaptiveAvgPool2dInteger(1, config={"data_in": "fixed<8,0>"})
    module.wide = True
    c = np.random.default_rng(0).integers(-128, 128, (4000, 1, 7, 7))
    sums = c.sum((2, 3)).ravel()
    means = run(module, torch.from_numpy(c).float()).ravel().round().long()
    assert means.tolist() == [integers.rne_ratio(int(s), 49) for s in sums]

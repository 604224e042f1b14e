"""How the float type that computes a module exactly is found."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from mase.ir import MaseError
from mase.runtime import modules as M
from mase.runtime.modules.grid import Grid, exact_type
from tests.runtime.exactness import config, run


def test_real_weights_tighten_the_bound() -> None:
    module: Any = M.LinearInteger(4096, 4, bias=False, config=config(8, 0, "data_in", "weight"))
    x = torch.zeros(1, 4096)
    nn.init.zeros_(module.weight)
    module.eval()
    assert module._exact(x) == torch.float32
    with torch.no_grad():
        module.weight.fill_(127.0)
    assert module._exact(x) == torch.float64  # the cache noticed


def test_the_bound_of_a_transposed_convolution_is_that_of_its_fullest_channel() -> None:
    """Four input channels in two groups: each output channel sums over two of them."""
    module: Any = M.ConvTranspose1dInteger(
        4, 4, 1, groups=2, bias=False, config=config(16, 0, "data_in", "weight")
    )
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[1.0, 100.0], [1.0, 100.0], [1.0, 1.0], [1.0, 1.0]]).unsqueeze(-1))
    module.eval()
    x = torch.zeros(1, 4, 1)
    assert module.rows(module.weight).sum(1).tolist() == [2, 200, 2, 2]
    assert module._exact(x) == torch.float32
    module.weight.data[0, 1] = 200.0
    assert module.train().eval()._exact(x) == torch.float64


def test_grids() -> None:
    a, b = Grid(4, 100), Grid(6, 3)
    assert (a.times(b), a.plus(b), b.plus(a), a.sum_of(3)) == (
        Grid(10, 300),
        Grid(6, 403),
        Grid(6, 403),
        Grid(4, 300),
    )
    assert (a.rounded(4), a.rounded(9), a.rounded(2), Grid(4, 99).rounded(2)) == (
        a,
        a,
        Grid(2, 25),
        Grid(2, 25),
    )
    assert exact_type(Grid(0, 2**24)) == torch.float32
    assert (
        exact_type(Grid(0, 2**24 + 1))
        == exact_type(Grid(130, 1))
        == exact_type(Grid(-126, 4))
        == torch.float64
    )
    assert exact_type(Grid(0, 2**53 + 1)) is None


def test_rough_multiplication_is_not_trusted() -> None:
    module: Any = M.Conv2dInteger(2, 2, 3, config=config(8, 0, "data_in", "weight", "bias")).eval()
    x = torch.zeros(1, 2, 8, 8)
    assert module._exact(x) == torch.float32
    torch.set_float32_matmul_precision("medium")
    try:
        assert module._exact(x) == torch.float64
    finally:
        torch.set_float32_matmul_precision("highest")
    assert module._exact(x) == torch.float32


def test_more_than_float64_is_refused() -> None:
    module = M.LinearInteger(10, 1, bias=False, config=config(32, 0, "data_in", "weight"))
    nn.init.constant_(module.weight, 2.0**31)
    with pytest.raises(MaseError, match=r"mase.linear_integer accumulates 6\d bits") as error:
        run(module, torch.ones(10))
    assert "narrower" in str(error.value)


def test_extreme_fractions() -> None:
    module = M.LinearInteger(3, 1, bias=False, config={"data_in": "fixed<8,120>", "weight": "fixed<8,110>"})
    nn.init.constant_(module.weight, 2.0**-110)
    module.wide = True
    x = torch.full((1, 3), 2.0**-119)
    assert run(module, x).item() == 6 * 2.0**-230


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_low_precision_inputs_and_autocast_stay_exact(dtype: torch.dtype) -> None:
    module = M.LinearInteger(64, 8, config=config(8, 4, "data_in", "weight", "bias"))
    x = torch.randn(5, 64).to(dtype)
    exact = run(module, x.float())
    low = copy.deepcopy(module).to(dtype)
    same = copy.deepcopy(module)
    same.weight.data, same.bias.data = low.weight.float(), low.bias.float()
    assert torch.equal(run(low, x), run(same, x.float()).to(dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(run(module, x.float()), exact)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_training_and_eval_agree_where_float32_is_exact(count: int) -> None:
    module = M.Conv2dInteger(3, 8, 3, config=config(6, 3, "data_in", "weight", "bias"))
    x = torch.randn(count, 3, 8, 8)
    assert torch.equal(module.train()(x), run(module, x))

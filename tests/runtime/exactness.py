"""What the tests against the int64 oracle share."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mase.ir import Fixed
from mase.runtime.kernels import encode
from mase.runtime.modules.base import QuantizedModule
from tests.numerics import integers

Ints = integers.Ints

WIDTHS = pytest.mark.parametrize("width", [4, 8, 12, 16])


def config(width: int, frac: int, *roles: str) -> dict[str, Any]:
    return {role: f"fixed<{width},{frac + i}>" for i, role in enumerate(roles)}


def ties(*shape: int, format: Fixed, seed: int = 0) -> Tensor:
    """Values half of which lie exactly between two numbers of the format, some beyond its bounds."""
    generator = torch.manual_seed(seed)
    codes = torch.randint(2 * format.code_min - 5, 2 * format.code_max + 6, shape, generator=generator)
    return (codes.double() * format.step / 2).float()


def codes(x: Tensor, format: Any) -> Ints:
    return encode(x, format).numpy().astype(np.int64)


def run(module: QuantizedModule, *operands: Tensor) -> Tensor:
    with torch.no_grad():
        return module.eval()(*operands)


def check(module: QuantizedModule, operands: tuple[Tensor, ...], expected: Ints, frac: int) -> Tensor:
    """The module's result is the oracle's, as it is and rounded to float32."""
    exact = torch.from_numpy(expected).double() * 2.0**-frac
    result = run(module, *operands)
    assert result.dtype == torch.float32
    assert torch.equal(result, exact.float())
    wide = copy.deepcopy(module)
    wide.wide = True
    assert torch.equal(run(wide, *operands).double(), exact)
    return result


def fill(module: nn.Module, formats: dict[str, Any]) -> None:
    """Give a layer parameters on ties."""
    for i, (name, parameter) in enumerate(module.named_parameters()):
        parameter.data = ties(*parameter.shape, format=formats[name], seed=i + 7)

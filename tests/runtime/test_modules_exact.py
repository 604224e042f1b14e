"""Every integer module gives, in eval mode, the integers of an int64 oracle: on ties, at bounds, wide."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mase.ir import Fixed
from mase.runtime import modules as M
from mase.runtime.kernels import quantize
from tests.numerics import integers
from tests.runtime.exactness import WIDTHS, Ints, check, codes, config, fill, run, ties


def layer_case(module: Any, x_shape: tuple[int, ...]) -> tuple[Tensor, Ints, Ints, Any, int]:
    """Fill a layer; its input, the codes of input and weight, the aligned codes of the bias, the fraction."""
    formats: Any = module.formats
    fill(module, formats)
    x = ties(*x_shape, format=formats["data_in"])
    frac = formats["data_in"].frac + formats["weight"].frac
    bias: Any = 0
    if getattr(module, "bias", None) is not None:
        bias = codes(module.bias.detach(), formats["bias"])
        shift = frac - formats["bias"].frac
        bias = (
            bias << shift if shift >= 0 else np.array([integers.rne_ratio(int(b), 2**-shift) for b in bias])
        )
    weight = codes(module.weight.detach(), formats["weight"])
    return x, codes(x, formats["data_in"]), weight, bias, frac


@WIDTHS
@pytest.mark.parametrize("bias", [None, "fixed<8,2>", "fixed<32,16>", "fixed<16,25>"])
@pytest.mark.parametrize("shape", [(5, 70), (2, 3, 70), (70,)])
def test_linear(width: int, bias: str | None, shape: tuple[int, ...]) -> None:
    formats = config(width, 4, "data_in", "weight") | {"bias": bias}
    module = M.LinearInteger(70, 9, bias=bias is not None, config=formats)
    operand, x, weight, b, frac = layer_case(module, shape)
    check(module, (operand,), x @ weight.T + b, frac)


CONVS: list[dict[str, Any]] = [
    {"kernel_size": 3},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 3, "padding": "same"},
    {"kernel_size": 4, "padding": "same", "dilation": 1},
    {"kernel_size": 3, "padding": "valid", "dilation": 2},
    {"kernel_size": 1, "groups": 2},
    {"kernel_size": 3, "groups": 4, "padding": 2},
    {"kernel_size": 5, "padding": 2, "bias": False},
    *({"kernel_size": 3, "padding": 2, "padding_mode": m} for m in ("reflect", "replicate", "circular")),
    {"kernel_size": 4, "padding": "same", "padding_mode": "reflect"},
]


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@WIDTHS
@pytest.mark.parametrize("arguments", CONVS, ids=str)
@pytest.mark.parametrize("rank", [1, 2])
def test_convolution(rank: int, arguments: dict[str, Any], width: int) -> None:
    cls = (M.Conv1dInteger, M.Conv2dInteger)[rank - 1]
    module = cls(4, 8, config=config(width, 3, "data_in", "weight", "bias"), **arguments)
    operand, x, weight, b, frac = layer_case(module, (3, 4, 11, 9)[: 2 + rank])
    op: Any = module.mase_op
    expected = integers.conv(x, weight, op.stride, op.padding, op.dilation, op.groups, op.padding_mode)
    check(module, (operand,), expected + np.reshape(b, (-1,) + (1,) * rank), frac)


@pytest.mark.parametrize("batch", [1, 16, 64])
@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
def test_convolution_algorithms(batch: int, kernel: int) -> None:
    """Whatever algorithm torch chooses for a shape, its sums are exact."""
    module = M.Conv2dInteger(
        8, 8, kernel, padding=kernel // 2, config=config(8, 3, "data_in", "weight", "bias")
    )
    operand, x, weight, b, frac = layer_case(module, (batch, 8, 12, 12))
    pad = ((kernel // 2,) * 2,) * 2
    expected = integers.conv(x, weight, (1, 1), pad, (1, 1), 1, "zeros")
    check(module, (operand,), expected + np.reshape(b, (-1, 1, 1)), frac)


TRANSPOSED: list[dict[str, Any]] = [
    {"kernel_size": 3},
    {"kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1},
    {"kernel_size": 3, "dilation": 2, "groups": 2, "padding": 1},
    {"kernel_size": 2, "stride": 3, "bias": False},
]


@WIDTHS
@pytest.mark.parametrize("arguments", TRANSPOSED, ids=str)
@pytest.mark.parametrize("rank", [1, 2])
def test_transposed_convolution(rank: int, arguments: dict[str, Any], width: int) -> None:
    cls = (M.ConvTranspose1dInteger, M.ConvTranspose2dInteger)[rank - 1]
    module = cls(4, 6, config=config(width, 3, "data_in", "weight", "bias"), **arguments)
    operand, x, weight, b, frac = layer_case(module, (2, 4, 6, 5)[: 2 + rank])
    op: Any = module.mase_op
    expected = integers.conv_transpose(
        x, weight, op.stride, op.padding, op.output_padding, op.dilation, op.groups
    )
    check(module, (operand,), expected + np.reshape(b, (-1,) + (1,) * rank), frac)


@WIDTHS
def test_arithmetic(width: int) -> None:
    formats = config(width, 3, "data_in", "other")
    f, g = Fixed(width, 3), Fixed(width, 4)
    x, y = ties(5, 6, format=f), ties(6, format=g, seed=1)
    a, b = codes(x, f), codes(y, g)
    for cls, expected, frac in (
        (M.AddInteger, 2 * a + b, 4),
        (M.SubInteger, 2 * a - b, 4),
        (M.MulInteger, a * b, 7),
        (M.MatmulInteger, a @ b, 7),
    ):
        module = cls(config=formats)
        check(
            module,
            (
                x,
                y,
            ),
            expected,
            frac,
        )


def test_matmul_of_batches() -> None:
    module = M.MatmulInteger(config=config(12, 3, "data_in", "other"))
    x, y = ties(2, 3, 5, 40, format=Fixed(12, 3)), ties(3, 40, 7, format=Fixed(12, 4), seed=1)
    check(
        module,
        (
            x,
            y,
        ),
        codes(x, Fixed(12, 3)) @ codes(y, Fixed(12, 4)),
        7,
    )


@WIDTHS
def test_relu_and_max_pools(width: int) -> None:
    format = Fixed(width, 3)
    formats = config(width, 3, "data_in")
    x = ties(2, 3, 8, 10, format=format)
    c = codes(x, format)
    halves = c.reshape(2, 3, 4, 2, 5, 2)
    for module, expected in (
        (M.ReluInteger(config=formats), np.maximum(c, 0)),
        (M.MaxPool2dInteger(2, config=formats), halves.max((3, 5))),
        (M.AdaptiveMaxPool2dInteger((4, 5), config=formats), halves.max((3, 5))),
    ):
        check(module, (x,), expected, 3)
    for module in (M.MaxPool1dInteger(2, config=formats), M.AdaptiveMaxPool1dInteger(4, config=formats)):
        line = x[:, :, :, 0].contiguous()
        check(module, (line,), c[:, :, :, 0].reshape(2, 3, 4, 2).max(3), 3)


def test_max_pool_pads_with_nothing() -> None:
    module = M.MaxPool2dInteger(3, 2, 1, config={"data_in": "fixed<8,4>"})
    x = -torch.rand(1, 1, 5, 5) - 1
    assert torch.equal(run(module, x), nn.MaxPool2d(3, 2, 1)(quantize(x, "fixed<8,4>")))


@WIDTHS
def test_embedding(width: int) -> None:
    module = M.EmbeddingInteger(20, 5, config=config(width, 3, "weight"))
    fill(module, dict(module.formats))
    index = torch.tensor([[1, 19], [0, 1]])
    check(module, (index,), codes(module.weight.detach(), module.formats["weight"])[index], 3)


@WIDTHS
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", [(6, 4), (3, 4, 5), (3, 4, 5, 2)])
def test_batch_norm(width: int, affine: bool, shape: tuple[int, ...]) -> None:
    formats = config(width, 3, "data_in", "weight") | {"bias": f"fixed<{width},9>"}
    module: Any = M.BatchNormInteger(4, affine=affine, config=formats)
    generator = np.random.default_rng(0)
    module.running_mean.copy_(torch.from_numpy(generator.normal(size=4)))
    module.running_var.copy_(torch.from_numpy(generator.uniform(0.2, 3, size=4)))
    if affine:
        nn.init.normal_(module.weight)
        nn.init.normal_(module.bias)
    gamma = module.weight.detach().double() if affine else torch.ones(4).double()
    beta = module.bias.detach().double() if affine else torch.zeros(4).double()
    scale = gamma / (module.running_var.double() + module.eps).sqrt()
    shift = beta - module.running_mean.double() * scale
    f: Any = module.formats
    frac = f["data_in"].frac + f["weight"].frac
    b = [integers.rne_ratio(int(c), 2 ** (9 - frac)) for c in codes(shift, f["bias"])]
    x = ties(*shape, format=f["data_in"])
    shaped = (1, 4) + (1,) * (len(shape) - 2)
    expected = codes(x, f["data_in"]) * codes(scale, f["weight"]).reshape(shaped) + np.reshape(b, shaped)
    check(module, (x,), expected, frac)

"""Every integer module gives, in eval mode, the integers of an int64 oracle: on ties, at bounds, wide."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mase.ir import Fixed, MaseError
from mase.runtime import modules as M
from mase.runtime.kernels import encode, quantize
from mase.runtime.modules.average import reciprocal_bits
from mase.runtime.modules.base import QuantizedModule
from mase.runtime.modules.grid import Grid, exact_type
from tests.numerics import integers

Ints = integers.Ints


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


WIDTHS = pytest.mark.parametrize("width", [4, 8, 12, 16])


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


# ---------------------------------------------------------------------------------- how it is made exact


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

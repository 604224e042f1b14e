"""Modules of all families as users meet them: names, keyed style, scales from outside, exactness, capture."""

from __future__ import annotations

import copy
import io
import math
import pickle  # only what this test itself has written is read
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import mase
from mase.ir import MaseError, parse_format
from mase.ir.axes import Axes
from mase.runtime import modules as M
from mase.runtime.kernels import Scale, quantize, scale_of
from mase.runtime.modules.rows import along
from mase.runtime.modules.scaled import bias_in_units
from tests.runtime.families import CASES, FORMATS, operands
from tests.runtime.test_families import quantized


def test_names() -> None:
    from mase.runtime.modules import Conv2dBlockFP, GeluMinifloatIEEE, LinearScaleInteger

    assert [c.op_class.name for c in (Conv2dBlockFP, GeluMinifloatIEEE, LinearScaleInteger)] == [
        "mase.conv2d_block_fp",
        "mase.gelu_minifloat_ieee",
        "mase.linear_scale_integer",
    ]
    assert "weight" in (Conv2dBlockFP.__doc__ or "")
    with pytest.raises(AttributeError, match="LinearBlockFB"):
        _ = M.LinearBlockFB


KEYED: dict[str, tuple[dict[str, Any], str]] = {
    "Integer": ({"width": 8, "frac_width": 4}, "fixed<8,4>"),
    "ScaleInteger": ({"width": 4, "group": 8}, "int<4,group=8>"),
    "MinifloatIEEE": ({"width": 8, "exponent_width": 4}, "float<4,3>"),
    "MinifloatDenorm": ({"width": 8, "exponent_width": 4}, "denorm<8,4>"),
    "Log": ({"width": 8}, "log<8>"),
    "BlockFP": ({"width": 8, "exponent_width": 8, "block_size": [16]}, "bfp<8,8,16>"),
    "BlockMinifloat": (
        {"width": 8, "exponent_width": 4, "exponent_bias_width": 8, "block_size": 16},
        "bminifloat<8,4,8,16>",
    ),
    "BlockLog": ({"width": 8, "exponent_bias_width": 8, "block_size": 16}, "blog<8,8,16>"),
    "MXInt": ({"width": 8, "block_size": 32}, "mxint<8,32>"),
    "NVFP4": ({"block_size": 16}, "nvfp4<16>"),
    "Binary": ({"scaling_factor": True}, "binary<scaled>"),
    "Ternary": ({"scaling_factor": True}, "ternary<scaled>"),
}


@pytest.mark.parametrize("title", KEYED)
def test_the_keyed_style_means_the_class_s_family(title: str) -> None:
    keys, text = KEYED[title]
    module: Any = getattr(M, f"Linear{title}")(8, 4, config={f"weight_{k}": v for k, v in keys.items()})
    assert str(module.formats["weight"]) == text
    assert f"weight={text}" in repr(module)


@pytest.mark.parametrize("family", FORMATS)
def test_copies(family: str) -> None:
    op = mase.ir.get_op(f"mase.linear_{family}")
    module: Any = M.quantized_module(op)(8, 4, config={"weight": FORMATS[family], "data_out": "float<8,3>"})
    file = io.BytesIO()
    pickle.dump((module, module.mase_op), file)
    x = torch.randn(3, 8)
    other, other_op = pickle.loads(file.getvalue())
    assert other_op == module.mase_op == copy.deepcopy(module).mase_op
    assert torch.equal(other(x), module(x))
    assert torch.equal(module(x), quantize(module(x), "float<8,3>"))


class Everything(nn.Module):
    """One module of each op, each of another family."""

    def __init__(self) -> None:
        super().__init__()
        self.units = nn.ModuleDict()
        families = list(FORMATS)
        for i, (name, case) in enumerate(CASES.items()):
            family = families[i % len(families)]
            config = dict.fromkeys(type(case.op).quantized_roles, FORMATS[family])
            op = mase.ir.get_op(f"mase.{name}_{family}")
            self.units[name] = M.quantized_module(op)(*_arguments(name), **_attributes(name), config=config)

    def forward(self, inputs: list[Tensor]) -> list[Tensor]:
        given = iter(inputs)
        return [self.units[name](*(next(given) for _ in case.shapes)) for name, case in CASES.items()]


def _arguments(name: str) -> tuple[Any, ...]:
    weight = CASES[name].params.get("weight", ())
    if name.startswith("conv_transpose"):
        return weight[0], weight[1] * CASES[name].op.groups, weight[2:]
    if name.startswith("conv"):
        return weight[1] * CASES[name].op.groups, weight[0], weight[2:]
    given = {"linear": (6, 4), "embedding": (9, 6), "batch_norm": (6,), "group_norm": (2, 6)}
    return given.get(name, ((6,) if name == "instance_norm" else ()))


def _attributes(name: str) -> dict[str, Any]:
    attributes = dict(CASES[name].op.attributes())
    if "kernel" in attributes:
        attributes["kernel_size"] = attributes.pop("kernel")
    if name == "avg_pool1d":
        attributes.pop("divisor_override")
    if name == "group_norm":
        attributes.pop("num_groups")
    if name == "instance_norm":
        attributes["affine"] = True
    if "padding_mode" in attributes:
        attributes["padding"] = tuple(before for before, _ in attributes["padding"])
    if name == "adaptive_avg_pool1d" or name == "adaptive_max_pool1d":
        attributes["output_size"] = attributes["output_size"][0]
    return attributes


def test_modules_by_hand_are_captured_as_their_ops() -> None:
    model = Everything().eval()
    inputs = [x for case in CASES.values() for x in operands(case)]
    graph = mase.trace(model, (inputs,))
    found = [node for node in graph.nodes if node.scope.startswith("units.")]
    assert [(n.scope.partition(".")[2], n.op) for n in found] == [
        (name, model.units[name].mase_op) for name in CASES
    ]
    assert graph.level == "quantized"
    for a, b in zip(mase.lower(graph).eval()(inputs), model(inputs), strict=True):
        assert torch.equal(a, b)


# -- rows ------------------------------------------------------------------------------------


def test_rows_of_groups() -> None:
    weight = torch.arange(24.0).view(4, 3, 2)  # [in, out/2, kernel]
    seen: list[Tensor] = []

    def look(rows: Tensor) -> Tensor:
        seen.append(rows)
        return -rows

    assert torch.equal(along(Axes((0, 2), groups=2), weight, look), -weight)
    [rows] = seen
    assert rows.shape == (2, 3, 4)  # group, output, its inputs
    assert rows[1, 0].tolist() == [weight[2, 0, 0], weight[2, 0, 1], weight[3, 0, 0], weight[3, 0, 1]]


def test_tokens_of_an_image_are_its_pixels() -> None:
    layer: Any = M.Conv2dScaleInteger(4, 2, 1, bias=False, config={"data_in": "int<8,token>"})
    x = torch.randn(2, 4, 3, 3)
    pixels = x.permute(0, 2, 3, 1)
    scales = pixels.abs().amax(-1, keepdim=True) / 127
    expected = ((pixels / scales).round() * scales).permute(0, 3, 1, 2)
    assert torch.allclose(layer(x), nn.functional.conv2d(expected, layer.weight), atol=1e-6)


@pytest.mark.parametrize("name", ["conv2d", "layer_norm", "attention", "embedding", "batch_norm"])
@pytest.mark.parametrize("family", ["mxint", "scale_integer", "minifloat_ieee"])
def test_low_precision_keeps_its_type(name: str, family: str) -> None:
    module = mase.lower(quantized(CASES[name], FORMATS[family])).to(torch.bfloat16)
    inputs = [x.bfloat16() if x.is_floating_point() else x for x in operands(CASES[name])]
    for training in (True, False):
        assert module.train(training)(*inputs).dtype is torch.bfloat16


def test_compiles_whole() -> None:
    config = {"data_in": "mxint<8,4>", "weight": "mxint<8,4>"}
    layer: Any = M.Conv2dMXInt(8, 4, 3, config=config)
    x = torch.randn(2, 8, 6, 6)
    compiled: Any = torch.compile(layer, fullgraph=True, backend="eager")
    assert torch.equal(compiled(x), layer(x))


def test_quantized_rows_keep_the_layout() -> None:
    # What follows sums in the order of the layout, and a compiled module keeps it.
    x = torch.randn(2, 8, 6, 6)
    assert along(Axes((1,)), x, lambda rows: rows.contiguous()).is_contiguous()


# -- scales from outside -----------------------------------------------------------------------


def test_a_given_scale_stays() -> None:
    layer: Any = M.LinearScaleInteger(4, 2, config={"data_in": "int<8>", "weight": "int<8,channel=0>"})
    layer.set_scale("data_in", torch.tensor(0.1))
    x = torch.randn(3, 4)
    q = quantize(x, "int<8>", Scale(torch.tensor(0.1)))
    w = quantize(layer.weight, "int<8,channel=0>")
    bias = bias_in_units(layer.bias, 0.1 * layer.weight.detach().abs().amax(1).double() / 127)
    assert torch.allclose(layer(x), nn.functional.linear(q, w, bias), atol=1e-6)
    assert not torch.allclose(layer(x), nn.functional.linear(q, w, layer.bias), atol=1e-6)
    assert "data_in_scale" in layer.state_dict()


def test_a_learned_scale_moves_to_a_better_one() -> None:
    torch.manual_seed(0)
    relu: Any = M.ReluScaleInteger(config={"data_in": "int<4>"})
    relu.set_scale("data_in", torch.tensor(0.02), learn=True)
    x = torch.randn(4096)
    optimizer = torch.optim.SGD(relu.parameters(), lr=0.5)

    def loss() -> Tensor:
        return (relu(x) - x.relu()).square().mean()

    first = loss().item()
    for _ in range(200):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    assert loss().item() < 0.05 * first
    assert 0.2 < relu.data_in_scale.item() < 0.5


def test_zero_points() -> None:
    format = "uint<8,asym>"
    add: Any = M.AddScaleInteger(config={"data_in": format})
    scale = scale_of(torch.tensor([-1.0, 3.0]), format)
    assert scale is not None
    add.set_scale("data_in", scale.value, scale.zero_point)
    x = torch.linspace(-2, 5, 50)
    assert torch.equal(add(x, torch.zeros(())), quantize(x, format, scale))


@pytest.mark.parametrize(
    ("format", "zero_point", "message"),
    [
        ("int<8,token>", None, "takes no scale"),
        ("float<4,3>", None, "takes no scale"),
        ("uint<8,asym>", None, "zero point"),
        ("int<8>", torch.tensor(0), "has no zero point"),
    ],
)
def test_scales_that_do_not_fit(format: str, zero_point: Tensor | None, message: str) -> None:
    family = parse_format(format).family
    module: Any = M.quantized_module(mase.ir.get_op(f"mase.relu_{family}"))(config={"data_in": format})
    with pytest.raises(MaseError, match=message):
        module.set_scale("data_in", torch.tensor(0.1), zero_point)


# -- the integer family is exact -----------------------------------------------------------------


@pytest.mark.parametrize("width", [8, 12])
def test_rotary_embedding_is_exact(width: int) -> None:
    formats = {"data_in": f"fixed<{width},5>", "cos": f"fixed<{width},{width - 2}>", "sin": "fixed<9,7>"}
    module: Any = M.RotaryEmbeddingInteger(config=formats).eval()
    x, angle = torch.randn(2, 5, 8), torch.randn(5, 8)
    given = x, angle.cos(), angle.sin()
    exact = [quantize(t, f).double() for t, f in zip(given, formats.values(), strict=True)]
    expected = M.RotaryEmbedding()(*exact)
    assert torch.equal(module(*given), expected.float())
    module.wide = True
    assert torch.equal(module(*given).double(), expected)


def test_interleaved_pairs() -> None:
    x, angle = torch.randn(3, 8), torch.randn(4)
    halves = M.RotaryEmbedding()(x, angle.cos().repeat(2), angle.sin().repeat(2))
    mixed = x.view(3, 2, 4).transpose(1, 2).flatten(1)
    cos, sin = angle.cos().repeat_interleave(2), angle.sin().repeat_interleave(2)
    found = M.RotaryEmbedding(interleaved=True)(mixed, cos, sin)
    assert torch.allclose(found.view(3, 4, 2).transpose(1, 2).flatten(1), halves)


@pytest.mark.parametrize("dims", [(-1,), (0, 2), None, (1,)])
def test_the_mean_is_the_exact_sum_times_a_fixed_point_reciprocal(dims: tuple[int, ...] | None) -> None:
    x = torch.randn(3, 5, 7)
    module: Any = M.MeanInteger(dims, config={"data_in": "fixed<8,5>"}).eval()
    codes = (quantize(x, "fixed<8,5>").double() * 32).long()
    axes = (0, 1, 2) if dims is None else dims
    sums, n = codes.sum(axes), math.prod(x.shape[d] for d in axes)
    bits = 7 + 2 * (n - 1).bit_length()
    reciprocal = round(Fraction(2**bits, n))
    expected = (sums * reciprocal).double() * 2.0 ** -(5 + bits)
    module.wide = True
    assert torch.equal(module(x).double(), expected)
    assert torch.allclose(module(x).double(), x.double().mean(axes), atol=2**-5)


def test_joined_tensors_keep_their_codes() -> None:
    a, b = torch.randn(2, 3), torch.randn(2, 4)
    found = M.ConcatInteger(1, config={"data_in": "fixed<8,5>"}).eval()(a, b)
    assert torch.equal(found, quantize(torch.cat((a, b), 1), "fixed<8,5>"))
    cache: Any = M.KVCacheInteger(-1, config={"past": "fixed<4,2>", "data_in": "fixed<8,5>"}).eval()
    assert torch.equal(cache(a, b), torch.cat((quantize(a, "fixed<4,2>"), quantize(b, "fixed<8,5>")), 1))


def test_a_quotient_of_fixed_point_is_rounded_once() -> None:
    x, y = torch.randn(1000), torch.rand(1000) + 0.5
    module: Any = M.DivInteger(config={"data_in": "fixed<16,12>", "other": "fixed<16,12>"}).eval()
    q = [quantize(t, "fixed<16,12>").double() for t in (x, y)]
    assert torch.equal(module(x, y), (q[0] / q[1]).float())


def test_an_embedding_shares_the_scale_of_all_rows() -> None:
    module: Any = M.EmbeddingScaleInteger(5, 3, padding_idx=0, max_norm=1.0, config={"weight": "int<8>"})
    found = module(torch.tensor([0, 1, 2, 2]))
    assert torch.equal(found, quantize(module.weight.detach(), "int<8>")[[0, 1, 2, 2]])
    assert module.weight[1].norm() <= 1.0001
    found.sum().backward()
    assert module.weight.grad.tolist() == [[0] * 3, [1] * 3, [2] * 3, [0] * 3, [0] * 3]

"""Transposed convolutions, uneven pools, weights of one and two bits: module, interpreter and ONNX agree."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import mase
from mase.ir import Graph, MaseError
from mase.ir.ops import exact
from tests.runtime.integer_graphs import assert_equal_everywhere, legalized, quantized, ties
from tests.runtime.onnx.running import integer_mismatches


def model_of(*layers: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(*layers)
    for parameter in model.parameters():
        nn.init.normal_(parameter, 0.0, 0.4)
    return model.eval()


def agree(model: nn.Module, x: Tensor, *, reference: bool = True, **formats: Any) -> Graph:
    graph = quantized(model, x, **formats)
    integer = legalized(graph)
    assert mase.loads(mase.dumps(integer)) == integer
    for given in (x, ties(graph, x)):
        assert assert_equal_everywhere(graph, integer, given) > 100
        assert integer_mismatches(integer, given, reference=reference) == 0
    return integer


FIXED = {"data_in": "fixed<8,4>", "weight": "fixed<6,4>"}
SCALED = {"data_in": "uint<8,asym>", "weight": "int<6>", "options": "requant = dyadic"}
TRANSPOSED: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "1d": (nn.ConvTranspose1d(3, 4, 3, stride=2, padding=1, output_padding=1), (8, 3, 9)),
    "2d": (nn.ConvTranspose2d(4, 6, (3, 2), stride=(2, 1), padding=(0, 1), groups=2), (8, 4, 5, 6)),
    "3d": (nn.ConvTranspose3d(2, 3, 2, stride=2, bias=False), (4, 2, 3, 3, 3)),
    "dilated": (nn.ConvTranspose2d(2, 2, 3, dilation=2), (4, 2, 5, 5)),
}


@pytest.mark.parametrize("formats", [FIXED, SCALED], ids=["fixed", "scaled"])
@pytest.mark.parametrize("name", TRANSPOSED)
def test_transposed_convolutions(name: str, formats: dict[str, str]) -> None:
    layer, shape = TRANSPOSED[name]
    one = getattr(layer, "groups", 1) == 1  # of several, onnx's reference reshapes the weight wrongly
    integer = agree(model_of(layer, nn.ReLU()), torch.randn(shape), reference=one, **formats)
    assert len(integer.find(exact.ConvTranspose)) == 1


def test_channels_of_a_transposed_convolution_are_refused() -> None:
    layer, shape = TRANSPOSED["1d"]
    graph = quantized(model_of(layer), torch.randn(shape), data_in="int<8>", weight="int<8,channel=0>")
    with pytest.raises(MaseError, match="scales that differ within a sum"):
        legalized(graph)


WIDTHS = {"7 to 3": 3, "both": 4, "one of them": 6, "to one and uneven": 4}
POOLS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "7 to 3": (nn.AdaptiveAvgPool1d(3), (4, 2, 7)),
    "both": (nn.AdaptiveAvgPool2d((3, 4)), (4, 2, 7, 6)),
    "one of them": (nn.AdaptiveAvgPool2d((3, None)), (4, 2, 5, 6)),
    "to one and uneven": (nn.AdaptiveAvgPool2d((1, 4)), (4, 2, 5, 6)),
}


@pytest.mark.parametrize("name", POOLS)
def test_pools_that_do_not_divide(name: str) -> None:
    pool, shape = POOLS[name]
    agree(model_of(pool, nn.Linear(WIDTHS[name], 9)), torch.randn(shape), **FIXED)


@pytest.mark.parametrize("weight", ["binary", "ternary"])
@pytest.mark.parametrize(
    "layer", [nn.Linear(12, 20, bias=False), nn.Conv1d(12, 7, 3)], ids=["linear", "conv"]
)
def test_signs(layer: nn.Module, weight: str) -> None:
    x = torch.randn(9, 12, 12)
    more = {"bias": "fixed<8,3>"} if layer.bias is not None else {}
    integer = agree(model_of(layer, nn.ReLU()), x, data_in="fixed<8,4>", weight=weight, **more)
    codes = set(integer.state["0.weight"].flatten().tolist())
    assert codes == ({-1, 1} if weight == "binary" else {-1, 0, 1})


@pytest.mark.parametrize(
    ("formats", "message"),
    [
        ({"data_in": "fixed<8,4>", "weight": "binary<scaled>"}, "has a factor"),
        ({"data_in": "fixed<8,4>", "weight": "ternary"}, "bias = None is not"),
        ({"data_in": "fixed<8,4>", "weight": "ternary", "bias": "fixed<8,5>"}, "of data_in's step"),
        ({"data_in": "fixed<24,4>", "weight": "binary", "bias": "fixed<8,3>"}, "float32 holds"),
        ({"data_in": "binary", "weight": "binary"}, "no integer"),
        ({"data_in": "int<8>", "weight": "int<4,group=4>"}, "scales that differ within a sum"),
        ({"data_in": "int<8>", "weight": "int<8>", "options": "scales = dynamic"}, "from each tensor anew"),
    ],
    ids=str,
)
def test_refused(formats: dict[str, str], message: str) -> None:
    graph = quantized(model_of(nn.Linear(12, 20)), torch.randn(9, 12), **formats)  # type: ignore[arg-type]
    with pytest.raises(MaseError, match=message) as caught:
        legalized(graph)
    assert caught.value.diagnostics[0].node == "_0"

"""Integer-only exports: the interpreter's integers in onnxruntime and in ONNX's own reference."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor, nn

import mase
from mase.ir import MaseError
from mase.runtime.integer import Interpreter
from mase.runtime.onnx import print_graph
from tests.runtime.onnx.cases import INTEGER_FORMATS, Of, Residual
from tests.runtime.onnx.running import integer_mismatches, legal, ties


@pytest.mark.parametrize("name", INTEGER_FORMATS)
def test_network_is_exact(name: str) -> None:
    x = ties(40, 1, 8, 8)
    assert integer_mismatches(legal(Residual(norm=False), x, INTEGER_FORMATS[name]), x) == 0


OPS: dict[str, Callable[[Tensor], Tensor]] = {
    "sub": lambda x: x - x.transpose(1, 2),
    "mul": lambda x: x * x.transpose(1, 2),
    "matmul": lambda x: x @ x.transpose(1, 2),
    "concat": lambda x: torch.cat((x, x.transpose(1, 2)), 1),
    "mean": lambda x: x.mean(-1),
}


@pytest.mark.parametrize("options", ["8 bits", "scales per tensor", "zero points"])
@pytest.mark.parametrize("name", OPS)
def test_ops_are_exact(name: str, options: str) -> None:
    x = ties(100, 4, 4)
    assert integer_mismatches(legal(Of(OPS[name]), x, INTEGER_FORMATS[options]), x) == 0


@pytest.mark.parametrize(
    "pool", [nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1), nn.MaxPool2d(3, 2, 1)], ids=lambda pool: str(pool)
)
def test_pools_are_exact(pool: nn.Module) -> None:
    x = ties(40, 2, 6, 6)
    assert integer_mismatches(legal(nn.Sequential(pool, nn.ReLU()), x, INTEGER_FORMATS["8 bits"]), x) == 0


def test_wide_operands_are_exact() -> None:
    x = ties(100, 16, frac=9, reach=4000)
    net = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4))
    assert integer_mismatches(legal(net, x, 'default={data_in="fixed<16,9>",weight="fixed<12,9>"}'), x) == 0


def test_largest_products_do_not_saturate() -> None:
    net = nn.Linear(32, 4)
    nn.init.constant_(net.weight, 127 / 128)
    x = torch.full((3, 32), 255 / 32)
    graph = legal(net, x, 'default={data_in="ufixed<8,5>",weight="fixed<8,7>"}')
    import onnxruntime

    model = print_graph(graph, None, "integer")
    session = onnxruntime.InferenceSession(model.SerializeToString())
    assert (session.run(None, {"input": x.numpy()})[0] == Interpreter(graph)(x).numpy()).all()


@pytest.mark.parametrize(("bits", "share"), [(8, 0.28), (4, 0.16), (3, 0.16), (2, 0.10)])
def test_narrow_weights_take_a_share_of_the_float_file(tmp_path: Path, bits: int, share: float) -> None:
    net = nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 512))
    graph = mase.trace(net, (torch.randn(2, 512),))
    formats = f'quantize{{default={{data_in="fixed<8,4>",weight="fixed<{bits},{bits + 2}>"}}}}'
    mase.Pipeline(f'export{{format="float"}},{formats},legalize-casts,export{{format="integer"}}').run(
        graph, output_dir=tmp_path
    )
    sizes = [(tmp_path / f"graph.{kind}.onnx").stat().st_size for kind in ("integer", "float")]
    assert sizes[0] <= share * sizes[1]


STORED = {
    ("fixed<8,4>", 5): ("INT8", 21),
    ("fixed<8,4>", 4): ("INT4", 21),
    ("fixed<8,4>", 3): ("INT4", 21),
    ("fixed<8,4>", 2): ("INT2", 25),
    ("ufixed<8,4>", 4): ("UINT4", 21),
    ("ufixed<8,4>", 2): ("UINT2", 25),
}


@pytest.mark.parametrize(("data_in", "bits"), STORED)
def test_weights_are_stored_in_the_least_type(data_in: str, bits: int) -> None:
    x = ties(50, 64)
    options = f'default={{data_in="{data_in}",weight="fixed<{bits},{bits + 2}>"}}'
    graph = legal(nn.Sequential(nn.Linear(64, 32), nn.ReLU()), x, options)
    model = print_graph(graph, None, "integer")
    weight = next(t for t in model.graph.initializer if tuple(t.dims) == (64, 32))
    element, opset = STORED[data_in, bits]
    assert weight.data_type == onnx.TensorProto.DataType.Value(element)
    assert model.opset_import[0].version == opset
    assert integer_mismatches(graph, x) == 0


def test_other_levels_are_refused(tmp_path: Path) -> None:
    graph = mase.trace(nn.Linear(4, 2), (torch.randn(2, 4),))
    with pytest.raises(MaseError, match="run legalize-casts first"):
        mase.Pipeline('export{format="integer"}').run(graph, output_dir=tmp_path)


LONG = {
    "averages of lines": nn.AvgPool1d(3, 2, 1),
    "largest of lines": nn.AdaptiveMaxPool1d(1),
    "largest of some": nn.AdaptiveMaxPool1d(3),
    "weights of 10 bits": nn.Linear(8, 4),
    "convolutions with weights of 10 bits": nn.Conv1d(6, 4, 3),
}


@pytest.mark.parametrize("width", [8, 12])
@pytest.mark.parametrize("name", LONG)
def test_other_layers_are_exact(name: str, width: int) -> None:
    graph = legal(
        nn.Sequential(LONG[name]),
        ties(50, 6, 8),
        f'default={{data_in="fixed<{width},4>",weight="fixed<10,7>"}}',
    )
    assert integer_mismatches(graph, ties(50, 6, 8)) == 0


@pytest.mark.parametrize("net", [nn.Linear(8, 4), nn.Conv1d(6, 4, 3), nn.ConvTranspose1d(6, 4, 3)])
def test_sums_may_have_few_bits(net: nn.Module) -> None:
    """Weights of nothing but zeros: the result is its bias, in as many bits as that takes."""
    nn.init.zeros_(net.weight)
    x = ties(50, 6, 8)
    graph = legal(net, x, 'default={data_in="fixed<12,4>",weight="fixed<8,6>"}')
    assert integer_mismatches(graph, x) == 0


@pytest.mark.parametrize("format", ["fixed<3,1>", "uint<2,asym>", "int<4>"])
def test_means_of_few_bits_are_exact(format: str) -> None:
    x = ties(50, 2, 8, frac=1, reach=9)
    graph = legal(Of(lambda x: x.mean(1)), x, f'default={{data_in="{format}"}}')
    assert integer_mismatches(graph, x) == 0

"""Integer-only exports: the interpreter's integers in onnxruntime and in ONNX's own reference."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from onnx.reference import ReferenceEvaluator
from torch import Tensor, nn

import mase
from mase.ir import Graph, MaseError
from mase.runtime.integer import Interpreter
from mase.runtime.onnx import print_graph
from tests.runtime.onnx.running import checked, run, ties
from tests.runtime.onnx.test_qdq import Of, Rows


def legal(net: nn.Module, x: Tensor, options: str) -> Graph:
    graph = mase.trace(net.eval(), (x[:2],))
    mase.Pipeline(f"quantize{{{options}}},legalize-casts").run(graph, data=Rows(x))
    return graph


def wrong(graph: Graph, x: Tensor, reference: bool = True) -> int:
    """How many numbers of the outputs differ, in all engines together."""
    model = checked(print_graph(graph, None, "integer"))
    feeds = {graph.inputs[0].name: x.numpy()}
    expected = Interpreter(graph)(x).numpy()
    found = [run(model, feeds, optimise)[0] for optimise in (True, False)]
    if reference:
        found.append(ReferenceEvaluator(model).run(None, feeds)[0])
    assert expected.std() > 0
    return sum(int((f != expected).sum()) for f in found)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.side = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 8, 1)
        self.depthwise = nn.Conv2d(8, 16, 3, stride=2, padding=1, groups=8)
        self.pool, self.head = nn.MaxPool2d(2), nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x))
        x = torch.relu(self.depthwise(x + torch.relu(self.side(x))))
        return self.head(torch.flatten(self.pool(x), 1))


FORMATS = {
    "8 bits": 'default={data_in="fixed<8,4>",weight="fixed<8,6>"}',
    "unsigned": (
        'default={data_in="ufixed<8,5>",weight="fixed<8,7>"},rules=[{scope="first",data_in="fixed<8,4>"}]'
    ),
    "4 bits": 'default={data_in="fixed<4,2>",weight="fixed<4,3>"}',
    "2 bits": 'default={data_in="fixed<4,2>",weight="fixed<2,1>"}',
    "half up": 'default={data_in="fixed<8,4>",weight="fixed<8,6>"},rounding="half_up"',
    "floor": 'default={data_in="fixed<8,4>",weight="fixed<8,6>"},rounding="floor"',
    "scales per tensor": 'default={data_in="int<8>",weight="int<8>"}',
    "scales per channel": 'default={data_in="int<8>",weight="int<8,channel=0>"}',
    "zero points": 'default={data_in="uint<8,asym>",weight="int<8,channel=0>"}',
}


@pytest.mark.parametrize("name", FORMATS)
def test_network_is_exact(name: str) -> None:
    x = ties(40, 1, 8, 8)
    assert wrong(legal(Residual(), x, FORMATS[name]), x) == 0


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
    assert wrong(legal(Of(OPS[name]), x, FORMATS[options]), x) == 0


@pytest.mark.parametrize(
    "pool", [nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1), nn.MaxPool2d(3, 2, 1)], ids=lambda pool: str(pool)
)
def test_pools_are_exact(pool: nn.Module) -> None:
    x = ties(40, 2, 6, 6)
    assert wrong(legal(nn.Sequential(pool, nn.ReLU()), x, FORMATS["8 bits"]), x) == 0


def test_wide_operands_are_exact() -> None:
    x = ties(100, 16, frac=9, reach=4000)
    net = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4))
    assert wrong(legal(net, x, 'default={data_in="fixed<16,9>",weight="fixed<12,9>"}'), x) == 0


def test_largest_products_do_not_saturate() -> None:
    net = nn.Linear(32, 4)
    nn.init.constant_(net.weight, 127 / 128)
    x = torch.full((3, 32), 255 / 32)
    graph = legal(net, x, 'default={data_in="ufixed<8,5>",weight="fixed<8,7>"}')
    import onnxruntime

    model = print_graph(graph, None, "integer")
    session = onnxruntime.InferenceSession(model.SerializeToString())
    assert (session.run(None, {"input": x.numpy()})[0] == Interpreter(graph)(x).numpy()).all()


def test_four_bits_take_an_eighth(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 512))
    graph = mase.trace(net, (torch.randn(2, 512),))
    four = 'quantize{default={data_in="fixed<8,4>",weight="fixed<4,6>"}}'
    mase.Pipeline(f'export{{format="float"}},{four},legalize-casts,export{{format="integer"}}').run(
        graph, output_dir=tmp_path
    )
    sizes = [(tmp_path / f"graph.{kind}.onnx").stat().st_size for kind in ("integer", "float")]
    assert sizes[0] <= 0.16 * sizes[1]


def test_other_levels_are_refused(tmp_path: Path) -> None:
    graph = mase.trace(nn.Linear(4, 2), (torch.randn(2, 4),))
    with pytest.raises(MaseError, match="run legalize-casts first"):
        mase.Pipeline('export{format="integer"}').run(graph, output_dir=tmp_path)

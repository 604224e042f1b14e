"""ONNX in: what mase writes reads back with the same numbers; other tools' models too."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from torch import Tensor, nn

import mase
from mase.frontends.onnx.reader import read_onnx
from mase.ir import Graph, MaseError
from mase.ir.ops.nn import Relu
from mase.ir.ops.quantized import float_op
from mase.runtime.integer import Interpreter
from mase.runtime.onnx import QdqQuantizers, QonnxQuantizers, Quantizers, print_graph
from mase.runtime.onnx.saving import save_model
from mase.runtime.verification import ENGINES
from tests.runtime.onnx.cases import (
    FORMATS,
    FUNCTIONS,
    INTEGER_FORMATS,
    LAYERS,
    POOLS,
    Of,
    Residual,
    Rows,
    mlp,
    seeded,
)
from tests.runtime.onnx.running import legal, quantized, ties
from tests.runtime.test_integer_transformers import bert
from tests.runtime.test_integer_transformers import quantized as integer_bert


def read_back(graph: Graph, folder: Path, quantizers: Quantizers | None) -> Graph:
    onnx.save(print_graph(graph, quantizers), folder / "model.onnx")
    return read_onnx(folder / "model.onnx")


def outputs(graph: Graph, x: Tensor) -> Tensor:
    with torch.no_grad():
        return mase.lower(graph).eval()(x)


QUANTIZERS: dict[str, Callable[[], Quantizers]] = {
    "qdq": QdqQuantizers,
    "qdq unsigned": lambda: QdqQuantizers(unsigned=True),
    "qonnx": QonnxQuantizers,
}


@pytest.mark.parametrize("quantizers", QUANTIZERS)
@pytest.mark.parametrize("name", FORMATS)
def test_quantized_networks_read_back(tmp_path: Path, name: str, quantizers: str) -> None:
    graph = quantized(Residual(), (torch.randn(2, 1, 8, 8),), FORMATS[name])
    found = read_back(graph, tmp_path, QUANTIZERS[quantizers]())
    x = ties(50, 1, 8, 8)
    assert found.level == "quantized"
    assert torch.equal(outputs(found, x), outputs(graph, x))
    assert mase.loads(mase.dumps(found)) == found


def test_formats_come_back(tmp_path: Path) -> None:
    graph = quantized(mlp(), (torch.randn(2, 16),), FORMATS["4 bits"])
    found = read_back(graph, tmp_path, QdqQuantizers(pack=True))
    assert [str(n.op.formats["weight"]) for n in found.nodes if "linear" in n.op.name] == ["fixed<4,3>"] * 2
    assert [float_op(n.op).name for n in found.nodes] == [float_op(n.op).name for n in graph.nodes]
    assert set(found.state) == set(graph.state)


@pytest.mark.parametrize("name", ["8 bits", "unsigned after relus", "signed after relus"])
def test_relus_that_quantizers_absorbed_come_back(tmp_path: Path, name: str) -> None:
    graph = quantized(Residual(norm=False), (torch.randn(2, 1, 8, 8),), FORMATS[name])
    found = read_back(graph, tmp_path, QdqQuantizers())
    relus = [sum(isinstance(float_op(n.op), Relu) for n in g.nodes) for g in (graph, found)]
    assert relus == [3, 3]


def test_half_up_comes_back(tmp_path: Path) -> None:
    graph = quantized(mlp(), (torch.randn(2, 16),), FORMATS["8 bits"] + ',rounding="half_up"')
    x = ties(100, 16)
    assert torch.equal(outputs(read_back(graph, tmp_path, QonnxQuantizers()), x), outputs(graph, x))


@pytest.mark.parametrize("weight", ["int<8>", "int<8,channel=0>"])
@pytest.mark.parametrize("data_in", ["int<8>", "uint<8,asym>"])
def test_scales_come_back(tmp_path: Path, data_in: str, weight: str) -> None:
    x = torch.randn(64, 16, generator=torch.Generator().manual_seed(0))
    graph = mase.trace(mlp(), (x,))
    formats = f'quantize{{default={{data_in="{data_in}",weight="{weight}"}}}}'
    mase.Pipeline(formats).run(graph, data=Rows(x))
    found = read_back(graph, tmp_path, QdqQuantizers())
    assert str(found["_0"].op.formats["data_in"]) == data_in if "_0" in found else True
    assert torch.allclose(outputs(found, x), outputs(graph, x), atol=2e-2)


@pytest.mark.parametrize("name", POOLS)
def test_pools_read_back(tmp_path: Path, name: str) -> None:
    graph = quantized(nn.Sequential(POOLS[name], nn.ReLU()), (torch.randn(2, 3, 7, 5),), FORMATS["8 bits"])
    x = ties(20, 3, 7, 5)
    assert torch.equal(outputs(read_back(graph, tmp_path, QdqQuantizers()), x), outputs(graph, x))


@pytest.mark.parametrize("name", LAYERS)
def test_layers_read_back(tmp_path: Path, name: str) -> None:
    net, shape = LAYERS[name]
    assert_reads_back(net, seeded(*shape), tmp_path)


@pytest.mark.parametrize("name", [n for n in FUNCTIONS if "exporter" not in n])
def test_functions_read_back(tmp_path: Path, name: str) -> None:
    assert_reads_back(Of(FUNCTIONS[name]), seeded(4, 3, 3), tmp_path)


def assert_reads_back(net: nn.Module, x: Tensor, folder: Path) -> None:
    graph = mase.trace(net.eval(), (x,))
    found = read_back(graph, folder, None)
    assert torch.allclose(outputs(found, x), outputs(graph, x), atol=1e-5)
    assert mase.loads(mase.dumps(found)) == found


@pytest.mark.parametrize("name", INTEGER_FORMATS)
def test_integer_files_read_back_bit_for_bit(tmp_path: Path, name: str) -> None:
    x = ties(40, 1, 8, 8)
    graph = legal(Residual(norm=False), x, INTEGER_FORMATS[name])
    onnx.save(print_graph(graph, None, "integer"), tmp_path / "model.onnx")
    found = read_onnx(tmp_path / "model.onnx")
    assert torch.equal(outputs(found, x), Interpreter(graph)(x))
    assert mase.loads(mase.dumps(found)) == found


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1])
def test_flatten_at_any_axis(tmp_path: Path, axis: int) -> None:
    node = onnx.helper.make_node("Flatten", ["x"], ["y"], axis=axis)
    types = [onnx.helper.make_tensor_value_info(n, 1, s) for n, s in (("x", ["N", 3, 4]), ("y", None))]
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", types[:1], types[1:]))
    onnx.save(model, tmp_path / "model.onnx")
    x = torch.randn(2, 3, 4)
    (expected,) = ReferenceEvaluator(model).run(None, {"x": x.numpy()})
    assert torch.equal(outputs(read_onnx(tmp_path / "model.onnx"), x), torch.from_numpy(expected))


def test_integer_transformers_read_back(tmp_path: Path) -> None:
    graph, data = integer_bert(bert())
    mase.Pipeline("legalize-casts").run(graph)
    onnx.save(print_graph(graph, None, "integer"), tmp_path / "model.onnx")
    with torch.no_grad():
        found = mase.lower(read_onnx(tmp_path / "model.onnx")).eval()(data.ids, data.mask)
    (expected,) = Interpreter(graph)(data.ids, data.mask).values()
    (found,) = found.values() if isinstance(found, dict) else (found,)
    assert torch.equal(found, expected)


def test_a_model_of_another_tool_is_quantized_and_exported(tmp_path: Path) -> None:
    net, x = Residual().eval(), torch.randn(4, 1, 8, 8)
    program = torch.onnx.export(net, (x,), dynamo=True, verbose=False, dynamic_shapes=({0: "batch"},))
    (tmp_path / "other.onnx").write_bytes(program.model_proto.SerializeToString())
    recipe = tmp_path / "graph.toml"
    recipe.write_text('mase = 1\n[model]\nsource = "onnx:other.onnx"\n')
    graph = mase.load(recipe)
    with torch.no_grad():
        assert torch.allclose(outputs(graph, x), net(x), atol=1e-5)
    passes = f"quantize{{{FORMATS['8 bits']}}},export,verify-export{{samples=20}}"
    mase.Pipeline(passes).run(graph, output_dir=tmp_path)
    assert (tmp_path / "graph.qdq.onnx").is_file()


def test_mistakes_are_named(tmp_path: Path) -> None:
    from mase.frontends.source import materialise
    from mase.ir import Header

    with pytest.raises(MaseError, match="there is no file"):
        materialise(Header(model={"source": "onnx:absent.onnx"}), base_dir=tmp_path)
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(MaseError, match=r"bad\.onnx is no ONNX model"):
        read_onnx(tmp_path / "bad.onnx")
    node = onnx.helper.make_node("NonZero", ["x"], ["y"], name="where_it_is")
    value = [onnx.helper.make_tensor_value_info(n, 1, [2, 3]) for n in "xy"]
    onnx.save(
        onnx.helper.make_model(onnx.helper.make_graph([node], "g", value[:1], value[1:])), tmp_path / "e.onnx"
    )
    with pytest.raises(MaseError, match="no rule reads NonZero") as caught:
        read_onnx(tmp_path / "e.onnx")
    assert caught.value.diagnostics[0].node == "where_it_is"
    assert "mase reads Abs, Add," in str(caught.value)


class Scaled(nn.Module):
    """A parameter that is an operand."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(seeded(3, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale + self.scale


@pytest.mark.parametrize("width", [8, 4, 12])
def test_parameters_that_are_quantized_in_the_file_read_back(tmp_path: Path, width: int) -> None:
    options = f'default={{data_in="fixed<{width},2>",other="fixed<{width},{width - 2}>"}}'
    graph = quantized(Scaled(), (torch.randn(2, 3, 5),), options)
    x = ties(50, 3, 5, frac=2)
    found = read_back(graph, tmp_path, QdqQuantizers())
    assert torch.equal(outputs(found, x), outputs(graph, x))


def test_tables_of_codes_read_back(tmp_path: Path) -> None:
    net, ids = nn.Sequential(nn.Embedding(9, 6), nn.Linear(6, 4)), torch.arange(9).view(3, 3)
    graph = quantized(net, (ids,), 'default={data_in="fixed<8,4>",weight="fixed<6,4>"}')
    found = read_back(graph, tmp_path, QdqQuantizers())
    assert [float_op(n.op).name for n in found.nodes] == ["core.input", "nn.embedding", "nn.linear"]
    assert torch.equal(outputs(found, ids), outputs(graph, ids))


def test_a_bias_finer_than_the_products_reads_back(tmp_path: Path) -> None:
    options = 'default={data_in="ufixed<2,-1>",weight="binary",bias="fixed<16,14>"}'
    graph = quantized(nn.Linear(4, 3), (torch.randn(2, 4),), options)
    x = ties(60, 4, frac=-1, reach=9)
    for kind in (QdqQuantizers, QonnxQuantizers):
        assert torch.equal(outputs(read_back(graph, tmp_path, kind()), x), outputs(graph, x))


@pytest.mark.parametrize("net", [nn.MaxPool1d(2), nn.AdaptiveMaxPool1d(1)])
def test_pools_of_integers_read_back(tmp_path: Path, net: nn.Module) -> None:
    x = ties(40, 3, 6)
    graph = legal(nn.Sequential(net, nn.ReLU()), x, 'default={data_in="fixed<8,4>"}')
    onnx.save(print_graph(graph, None, "integer"), tmp_path / "model.onnx")
    assert torch.equal(outputs(read_onnx(tmp_path / "model.onnx"), x), Interpreter(graph)(x))


@pytest.mark.parametrize("rounding", ["half_even", "half_up", "floor"])
@pytest.mark.parametrize("data_in", ["uint<6,asym>", "int<6>"])
def test_odd_zero_points_and_biases_in_units_are_those_of_the_module(
    tmp_path: Path, data_in: str, rounding: str
) -> None:
    """Quant of QONNX rounds after it has added a zero point; requant=dyadic rounds biases to the products."""
    x = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
    net = nn.Sequential(nn.Linear(6, 4), nn.ReLU6(), nn.Linear(4, 3))
    formats = f'default={{data_in="{data_in}",weight="fixed<6,4>"}},requant=dyadic,rounding={rounding}'
    graph = mase.trace(net, (x[:2],))
    mase.Pipeline(f"quantize{{{formats}}}").run(graph, data=Rows(x))
    for key in graph.state:
        if key.endswith("_scale"):
            graph.state[key] = 2.0 ** graph.state[key].log2().round()
        elif key.endswith("_zero_point"):
            graph.state[key] = graph.state[key] | 1
    step = float(graph.state["0.data_in_scale"])
    inputs = torch.randint(-40, 40, (60, 6), generator=torch.Generator().manual_seed(1)) * (step / 2)
    expected = outputs(graph, inputs)
    kinds = [QonnxQuantizers] if rounding != "half_even" else [QonnxQuantizers, QdqQuantizers]
    for kind in kinds:
        assert torch.equal(outputs(read_back(graph, tmp_path, kind()), inputs), expected)
    if importlib.util.find_spec("qonnx") is not None:
        save_model(print_graph(graph, QonnxQuantizers(), "qonnx"), tmp_path / "quant.onnx")
        found = ENGINES["qonnx"](tmp_path / "quant.onnx").run({"input": inputs.numpy()})
        assert torch.equal(torch.from_numpy(next(iter(found.values()))), expected)

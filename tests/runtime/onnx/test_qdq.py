"""QDQ exports in onnxruntime, bit for bit beside the lowered module, on vectors dense in ties."""

from __future__ import annotations

from collections import Counter

import onnx
import pytest
import torch
from torch import Tensor, nn

import mase
from mase.ir import Graph, MaseError
from mase.runtime.onnx import QdqQuantizers, print_graph
from tests.runtime.onnx.cases import FORMATS, POOLS, Of, Residual, Rows, mlp
from tests.runtime.onnx.running import checked, mismatches, quantized, run, ties


@pytest.mark.parametrize("unsigned", [False, True])
@pytest.mark.parametrize("name", FORMATS)
def test_network_is_exact(name: str, unsigned: bool) -> None:
    graph = quantized(Residual(), (torch.randn(2, 1, 8, 8),), FORMATS[name])
    wrong, count = mismatches(graph, ties(150, 1, 8, 8), unsigned=unsigned)
    assert (wrong, count) == (0, 1500)


@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize("shape", [(200, 16), (50, 5, 16)])
def test_mlp_is_exact(pack: bool, shape: tuple[int, ...]) -> None:
    options = 'default={data_in="fixed<8,4>",weight="fixed<4,3>"}'
    graph = quantized(mlp(), (torch.randn(2, *shape[1:]),), options)
    wrong, count = mismatches(graph, ties(*shape), pack=pack)
    assert wrong == 0
    assert count >= 3200


def test_vectors_decide_roundings() -> None:
    graph = quantized(mlp(), (torch.randn(2, 16),), FORMATS["8 bits"])
    other = quantized(mlp(), (torch.randn(2, 16),), FORMATS["8 bits"] + ',rounding="half_up"')
    x = ties(200, 16)
    with torch.no_grad():
        results = [mase.lower(g).eval()(x) for g in (graph, other)]
    assert (results[0] != results[1]).float().mean() > 0.01


@pytest.mark.parametrize("name", POOLS)
def test_pools_are_exact(name: str) -> None:
    graph = quantized(nn.Sequential(POOLS[name], nn.ReLU()), (torch.randn(2, 3, 7, 5),), FORMATS["8 bits"])
    wrong, _ = mismatches(graph, ties(100, 3, 7, 5))
    assert wrong == 0


FUNCTIONS = {
    "sub": lambda x: x - 2 * x.mT,
    "mul": lambda x: x * x.mT,
    "matmul": lambda x: x @ x.mT,
    "concat": lambda x: torch.cat((x, x.mT), 1),
    "mean": lambda x: x.mean(-1),
    "transposed convolution": nn.ConvTranspose1d(4, 4, 3, stride=2),
    "embedding": None,
}


@pytest.mark.parametrize("name", [n for n, f in FUNCTIONS.items() if f is not None])
def test_ops_are_exact(name: str) -> None:
    graph = quantized(Of(FUNCTIONS[name]), (torch.randn(2, 4, 4),), FORMATS["8 bits"])
    wrong, count = mismatches(graph, ties(100, 4, 4))
    assert wrong == 0
    assert count >= 400


class Split(nn.Module):
    """Features into two rows, by the size of the batch as a number."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(16, 16), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x).view(x.shape[0], 2, 8))


def test_sizes_are_not_quantized() -> None:
    graph = quantized(Split(), (torch.randn(2, 16),), FORMATS["8 bits"])
    assert mismatches(graph, ties(50, 16)) == (0, 800)


def test_embedding_gathers_codes() -> None:
    net = nn.Sequential(nn.Embedding(10, 8), nn.Linear(8, 4))
    graph = mase.trace(net, (torch.zeros(2, 3, dtype=torch.int64),))
    mase.Pipeline(f"quantize{{{FORMATS['8 bits']}}}").run(graph)
    wrong, _ = mismatches(graph, torch.arange(30).reshape(10, 3) % 10)
    assert wrong == 0
    model = print_graph(graph, QdqQuantizers())
    gather = next(n for n in model.graph.node if n.op_type == "Gather")
    assert (
        next(t for t in model.graph.initializer if t.name == gather.input[0]).data_type
        == onnx.TensorProto.INT8
    )


SCALED = {
    "per tensor": 'default={data_in="int<8>",weight="int<8>"}',
    "per channel": 'default={data_in="int<8>",weight="int<8,channel=0>"}',
    "asymmetric": 'default={data_in="uint<8,asym>",weight="int<8,channel=0>"}',
    "groups": 'default={data_in="int<8>",weight="int<4,group=4>"},rules=[{op="nn.conv2d",weight="int<8>"}]',
}


def scaled(name: str, data: Tensor, extra: str = "") -> Graph:
    net = mlp() if name == "groups" else Residual(norm=False)
    graph = mase.trace(net.eval(), (data[:2],))
    mase.Pipeline(f"quantize{{{SCALED[name]}{extra}}}").run(graph, data=Rows(data[:64]))
    return graph


@pytest.mark.parametrize("name", SCALED)
def test_scaled_integers_differ_in_the_last_bits_of_float32(name: str) -> None:
    # Scales are multiplied in another order. A number that close to a tie becomes another code in one of a
    # hundred thousand; with a bias off the accumulator's grid it would be one in ten.
    shape = (16,) if name == "groups" else (1, 8, 8)
    data = torch.randn(500, *shape, generator=torch.Generator().manual_seed(3))
    graph = scaled(name, data)
    model = checked(print_graph(graph, QdqQuantizers(), "qdq"))
    with torch.no_grad():
        expected = mase.lower(graph).eval()(data)
    for optimise in (True, False):
        found = torch.from_numpy(run(model, {graph.inputs[0].name: data.numpy()}, optimise)[0])
        far = (found - expected).abs() > 2**-20 * expected.abs().max()
        assert far.float().mean() < 0.003


@pytest.mark.parametrize("extra", ["", ',requant="dyadic"'])
@pytest.mark.parametrize("name", ["per tensor", "per channel", "asymmetric"])
def test_scaled_integers_are_exact_where_scales_are_powers_of_two(name: str, extra: str) -> None:
    graph = scaled(name, torch.randn(64, 1, 8, 8), extra)
    for node in graph.nodes:
        for role in {"data_in_scale", "other_scale"} & node.params.keys():
            graph.state[node.params[role]] = torch.tensor(2.0**-4)
        if "weight" in node.params:
            weight = graph.state[node.params["weight"]]
            dims = tuple(range(1, weight.dim())) if name != "per tensor" else tuple(range(weight.dim()))
            graph.state[node.params["weight"]] = weight / weight.abs().amax(dims, keepdim=True) * 127 / 256
    wrong, count = mismatches(graph, ties(200, 1, 8, 8))
    assert (wrong, count) == (0, 2000)


def operators(options: str) -> Counter[str]:
    graph = quantized(Residual(), (torch.randn(2, 1, 8, 8),), options)
    return Counter(n.op_type for n in print_graph(graph, QdqQuantizers()).graph.node)


def test_no_relu_is_left() -> None:
    for name in ("8 bits", "unsigned after relus", "signed after relus"):
        assert operators(FORMATS[name])["Relu"] == 0


def test_every_dequantizer_has_its_zero_point() -> None:
    graph = quantized(Residual(), (torch.randn(2, 1, 8, 8),), FORMATS["8 bits"])
    model = print_graph(graph, QdqQuantizers())
    assert all(len(n.input) == 3 for n in model.graph.node if "quantize" in n.op_type.lower())
    bias = {t.name: t for t in model.graph.initializer}["first.bias_quantized"]
    assert bias.data_type == onnx.TensorProto.INT32


def test_onnxruntime_runs_layers_in_integers() -> None:
    graph = quantized(Residual(), (torch.randn(2, 1, 8, 8),), FORMATS["unsigned after relus"])
    model = print_graph(graph, QdqQuantizers())
    assert fused(model)["QLinearConv"] == 3


@pytest.mark.parametrize("name", ["8 bits", "4 bits", "narrow", "signed after relus"])
def test_one_element_type_leaves_nothing_in_float(name: str) -> None:
    graph = quantized(Residual(norm=False), (torch.randn(2, 1, 8, 8),), FORMATS[name])
    ops = fused(print_graph(graph, QdqQuantizers(unsigned=True)))
    assert (ops["QLinearConv"], ops["QLinearAdd"], ops["QGemm"], ops["QuantizeLinear"]) == (3, 1, 1, 1)
    assert not ops.keys() & {"Conv", "FusedConv", "Add", "Gemm", "MatMul", "DequantizeLinear"}


@pytest.mark.parametrize("name", FORMATS)
def test_no_value_is_quantized_twice_in_one_way(name: str) -> None:
    model = print_graph(quantized(Residual(), (torch.randn(2, 1, 8, 8),), FORMATS[name]), QdqQuantizers())
    scales = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    made = {n.output[0]: n for n in model.graph.node}
    for node in model.graph.node:
        before = made.get(node.input[0])
        if node.op_type == "QuantizeLinear" and before is not None and before.op_type == "DequantizeLinear":
            assert scales[node.input[1]] != scales[before.input[1]]


def fused(model: onnx.ModelProto) -> Counter[str]:
    """The operators that onnxruntime's optimiser makes of a model."""
    import tempfile
    from pathlib import Path

    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "optimised.onnx")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.optimized_model_filepath = path
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        return Counter(n.op_type for n in onnx.load(path).graph.node)


REFUSED = {
    "rounds half to even": 'default={data_in="fixed<8,4>",weight="fixed<8,6>"},rounding="half_up"',
    "which QuantizeLinear does not have": 'default={data_in="mxint<8,16>",weight="mxint<8,16>"}',
    "taken from each tensor anew": 'default={data_in="int<8>",weight="int<8>"},scales="dynamic"',
    "QuantizeLinear has 16 bits": 'default={data_in="fixed<20,8>",weight="fixed<8,6>"}',
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_has_no_form_is_refused_with_its_node(message: str) -> None:
    graph = quantized(mlp(), (torch.randn(2, 16),), REFUSED[message])
    with pytest.raises(MaseError, match=message) as caught:
        print_graph(graph, QdqQuantizers())
    assert "_0" in str(caught.value) or "node" in str(caught.value)


MOVED = {
    "max-pool": nn.MaxPool1d(2),
    "transpose": Of(lambda x: torch.softmax(x.mT, -1)),
    "reshape": Of(lambda x: x.reshape(x.shape[0], 2, -1)),
}


@pytest.mark.parametrize("width", [8, 12], ids=["all of 8 bits", "some of 12 bits"])
@pytest.mark.parametrize("name", MOVED)
def test_what_moves_and_goes_on_in_float_can_be_loaded(name: str, width: int) -> None:
    """onnxruntime 1.32 fails where it moves a DequantizeLinear of int8 that has a zero point."""
    net = nn.Sequential(nn.Linear(6, 6), nn.ReLU6(), nn.Linear(6, 6), nn.Identity(), MOVED[name])
    options = f"""default={{data_in="fixed<8,4>",weight="fixed<8,6>",data_out="fixed<8,3>"}},
        rules=[{{op="nn.relu6",data_in="fixed<{width},4>"}},{{op="nn.max_pool1d",skip=true}},
               {{op="nn.softmax",skip=true}}]"""
    graph = quantized(net, (torch.randn(2, 4, 6),), options)
    x = ties(50, 4, 6)
    found = run(checked(print_graph(graph, QdqQuantizers(), "qdq")), {"input": x.numpy()})[0]
    with torch.no_grad():
        assert torch.allclose(torch.from_numpy(found), mase.lower(graph).eval()(x), atol=1e-6)


def test_a_bias_beside_signs_keeps_its_bits() -> None:
    options = 'default={data_in="ufixed<2,-1>",weight="binary",bias="fixed<16,14>"}'
    graph = quantized(nn.Linear(4, 3), (torch.randn(2, 4),), options)
    assert mismatches(graph, ties(60, 4, frac=-1, reach=9)) == (0, 180)

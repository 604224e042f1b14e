"""Costs against figures worked out by hand or published."""

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import mase
from mase.ir import Graph, Op, Template, parse_format, parse_type
from mase.ir.ops import conv, core, integer, nn, tensor
from mase.ir.ops.attention import Attention
from mase.ir.ops.experts import GroupedMatMul
from mase.ir.ops.recurrent import Gru
from mase.ir.ops.scan import SelectiveScan
from mase.ir.ops.torch import Call, Module
from mase.passes import Context
from mase.passes.analyses.cost import Cost, cost, total_cost
from mase.passes.analyses.macs import macs
from tests.passes.graphs import graph_input, layer, lenet5, mlp

FIXED8, FIXED4 = parse_format("fixed<8,4>"), parse_format("fixed<4,3>")


def costs(graph: Graph, **sizes: int) -> dict[str, Cost]:
    cost(graph, Context(graph), sizes=sizes or None)
    return {node.name: node.meta.get(Cost) or Cost() for node in graph.nodes}


def test_lenet5_as_published() -> None:
    """c1 28²·6·25, c3 10²·16·150, c5 120·400, f6 84·120, f7 10·84: in all 416,520."""
    graph = lenet5()
    found = costs(graph)
    assert [found[n].macs for n in ("c1", "c3", "c5", "f6", "f7")] == [117_600, 240_000, 48_000, 10_080, 840]
    total = total_cost(graph.nodes)
    assert (total.parameters, total.macs) == (61_706, 416_520)
    assert total.weight_bits == 61_706 * 32
    assert total.bit_ops == 416_520 * 32 * 32


# What every table says of these layers: out positions x out channels x in channels per group x kernel.
CONVOLUTIONS: dict[str, tuple[Op, str, tuple[int, ...], int]] = {
    "resnet stem": (
        conv.Conv2d(stride=(2, 2), padding=((3, 3), (3, 3))),
        "f32[N,3,224,224]",
        (64, 3, 7, 7),
        112 * 112 * 64 * 3 * 49,
    ),
    "depthwise": (
        conv.Conv2d(groups=32, padding=((1, 1), (1, 1))),
        "f32[N,32,112,112]",
        (32, 1, 3, 3),
        3_612_672,
    ),
    "groups": (conv.Conv2d(groups=4), "f32[N,8,6,6]", (16, 2, 3, 3), 4 * 4 * 16 * 2 * 9),
    "dilated 1d": (conv.Conv1d(dilation=(2,)), "f32[N,4,10]", (8, 4, 3), 6 * 8 * 4 * 3),
    "3d": (conv.Conv3d(), "f32[N,2,4,4,4]", (3, 2, 2, 2, 2), 27 * 3 * 2 * 8),
    "transposed": (conv.ConvTranspose2d(stride=(2, 2)), "f32[N,8,5,5]", (8, 4, 3, 3), 25 * 8 * 4 * 9),
    "transposed groups": (conv.ConvTranspose2d(groups=2), "f32[N,8,5,5]", (8, 2, 3, 3), 25 * 8 * 2 * 9),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions(name: str) -> None:
    op, type, shape, expected = CONVOLUTIONS[name]
    graph = Graph()
    x = graph_input(graph, type)
    layer(graph, op, x, scope="conv", weight=torch.empty(shape))
    assert costs(graph)["conv"].macs == expected


def test_transposed_convolution_against_counting() -> None:
    """Each product of the definition is one term of the sum that all-ones operands give."""
    x, weight = torch.ones(1, 8, 5, 5), torch.ones(8, 2, 3, 3)
    products = torch.nn.functional.conv_transpose2d(x, weight, stride=2, groups=2).sum()
    graph = Graph()
    node = graph_input(graph, "f32[1,8,5,5]")
    layer(graph, conv.ConvTranspose2d(stride=(2, 2), groups=2), node, scope="up", weight=weight)
    assert costs(graph)["up"].macs == int(products)


def test_attention_is_two_products() -> None:
    """BERT-base: 12 heads of 64 over 128 tokens, 2 · 12 · 128 · 128 · 64."""
    graph = Graph()
    x = graph_input(graph, "f32[N,12,S,64]")
    graph.outputs = [graph.add(Attention(), x, x, x, name="attention")]
    assert costs(graph, S=128)["attention"].macs == 2 * 12 * 128 * 128 * 64


RECURRENT: dict[str, tuple[type[torch.nn.Module], dict[str, Any]]] = {
    "rnn": (torch.nn.RNN, {}),
    "gru of two layers": (torch.nn.GRU, {"num_layers": 2}),
    "lstm": (torch.nn.LSTM, {}),
    "lstm both ways": (torch.nn.LSTM, {"num_layers": 2, "bidirectional": True}),
    "lstm with a projection": (torch.nn.LSTM, {"proj_size": 3}),
}


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_nets_as_torch_counts(name: str) -> None:
    """Its products of each step, by torch's own counter, which counts two operations for each."""
    make, options = RECURRENT[name]
    model = make(5, 7, batch_first=True, **options).eval()
    x = torch.randn(2, 6, 5)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), torch.backends.mkldnn.flags(enabled=False), counter:
        model(x)
    graph = mase.trace(torch.nn.Sequential(model), args=(x,))
    assert not graph.find(Module)
    found = sum(c.macs for c in costs(graph, N=2).values())
    assert found == counter.get_total_flops() // 2 > 0


def test_the_widths_of_a_recurrent_net_multiply() -> None:
    x = torch.randn(2, 6, 5)
    graph = mase.trace(torch.nn.Sequential(torch.nn.GRU(5, 7, batch_first=True)), args=(x,))
    [node] = graph.find(Gru)
    found = costs(graph, N=2)[node.name]
    assert found.bit_ops == found.macs * 32 * 32


def test_experts_multiply_each_row_once() -> None:
    """As many products as if every row had one expert: rows x in x out, by torch's counter."""
    x, one = torch.randn(12, 8), torch.randn(8, 16)
    counter = FlopCounterMode(display=False)
    with counter:
        x @ one
    graph = Graph()
    rows, experts = graph_input(graph, "f32[12,8]"), graph_input(graph, "f32[3,8,16]", "w")
    graph.add(GroupedMatMul(), rows, experts, graph_input(graph, "i32[3]", "ends"), name="experts")
    assert costs(graph)["experts"].macs == counter.get_total_flops() // 2


CALLS: dict[str, tuple[str, tuple[str, ...], Any]] = {
    "mm": ("f32[3,5]", ("f32[3,4]", "f32[4,5]"), torch.mm),
    "bmm": ("f32[2,3,5]", ("f32[2,3,4]", "f32[2,4,5]"), torch.bmm),
    "matmul": ("f32[2,3,5]", ("f32[2,3,4]", "f32[4,5]"), torch.matmul),
    "addmm": ("f32[3,5]", ("f32[5]", "f32[3,4]", "f32[4,5]"), torch.addmm),
    "baddbmm": ("f32[2,3,5]", ("f32[2,3,5]", "f32[2,3,4]", "f32[2,4,5]"), torch.baddbmm),
    "linear": ("f32[3,5]", ("f32[3,4]", "f32[5,4]"), torch.nn.functional.linear),
    "conv1d": ("f32[2,6,8]", ("f32[2,4,10]", "f32[6,4,3]"), torch.conv1d),
    "conv2d": ("f32[2,6,4,4]", ("f32[2,4,6,6]", "f32[6,4,3,3]"), torch.conv2d),
    "conv3d": ("f32[1,2,2,2,2]", ("f32[1,4,4,4,4]", "f32[2,4,3,3,3]"), torch.conv3d),
}


@pytest.mark.parametrize("name", CALLS)
def test_calls_of_torch_as_torch_counts(name: str) -> None:
    """What no op stands for, such as the convolution of Mamba, whose weight is a parameter of its own."""
    returns, types, function = CALLS[name]
    graph = Graph()
    nodes = [graph_input(graph, type, f"x{i}") for i, type in enumerate(types)]
    holes = ", ".join(f"%{i}" for i in range(len(types)))
    call = Call(target=f"aten.{name}.default", args=Template.parse(f"({holes})"), returns=parse_type(returns))
    graph.add(call, *nodes, name="call")
    counter = FlopCounterMode(display=False)
    with counter:
        result = function(*(torch.ones(node.tensor_type.shape) for node in nodes))
    assert str(tuple(result.shape)).replace(" ", "") == str(parse_type(returns).shape).replace(" ", "")
    ctx = Context(graph)
    cost(graph, ctx)
    assert graph["call"].meta[Cost].macs == counter.get_total_flops() // 2
    assert not ctx.diagnostics


def test_a_selective_scan_counts_three_products_a_state() -> None:
    """Of state = decay * state + (step * x) * b and y = c . state, for 10 steps, 6 channels, 4 states."""
    graph = Graph()
    x, step = graph_input(graph, "f32[N,6,10]"), graph_input(graph, "f32[N,6,10]", "step")
    a, b, c = (
        graph_input(graph, type, name)
        for name, type in (("a", "f32[6,4]"), ("b", "f32[N,4,10]"), ("c", "f32[N,4,10]"))
    )
    graph.add(SelectiveScan(), x, step, a, b, c, name="scan")
    assert costs(graph)["scan"].macs == 10 * 6 * 4 * 3


def test_matrix_product() -> None:
    graph = Graph()
    a, b = graph_input(graph, "f32[N,7,3]"), graph_input(graph, "f32[3,5]", "b")
    graph.add(tensor.MatMul(), a, b, name="mm")
    assert costs(graph)["mm"].macs == 7 * 3 * 5


def test_embedding_reads_the_rows_it_needs() -> None:
    graph = Graph()
    i = graph_input(graph, "i64[N,6]", "i")
    layer(graph, nn.Embedding(), i, scope="table", weight=torch.empty(1000, 16))
    found = costs(graph)["table"]
    assert (found.parameters, found.macs) == (16_000, 0)
    assert found.bits_moved == 6 * 64 + 2 * (6 * 16 * 32)


def quantized_mlp() -> Graph:
    graph = mlp()
    graph["fc1"].op = integer.LinearInteger(data_in=FIXED8, weight=FIXED4, bias=FIXED8)
    graph["relu"].op = integer.ReluInteger(data_in=FIXED8)
    graph["fc2"].op = integer.LinearInteger(data_in=FIXED4, weight=FIXED4, bias=None)
    graph.level = "quantized"
    return graph


def test_float_bits_moved_by_hand() -> None:
    found = costs(mlp())
    assert found["fc1"].bits_moved == 32 * (4 + 4 * 8 + 8 + 8)
    assert found["relu"].bits_moved == 32 * (8 + 8)
    assert found["drop"].bits_moved == found["x"].bits_moved == 0
    assert found["fc2"].bits_moved == 32 * (8 + 8 * 3 + 3 + 3)


def test_quantized_bits_follow_the_formats() -> None:
    """A value is stored as its users read it: fc1 in 8 bits for relu, relu in 4 bits for fc2."""
    graph = quantized_mlp()
    found = costs(graph)
    assert found["fc1"].bits_moved == 4 * 8 + 32 * 4 + 8 * 8 + 8 * 8
    assert found["relu"].bits_moved == 8 * 8 + 8 * 4
    assert found["fc2"].bits_moved == 8 * 4 + 24 * 4 + 3 * 32 + 3 * 32
    assert found["fc1"].bit_ops == 32 * 8 * 4
    assert found["fc2"].weight_bits == 24 * 4 + 3 * 32
    assert total_cost(graph.nodes).macs == 32 + 24


def test_tied_weights_count_once_in_the_total() -> None:
    graph = mlp()
    graph.state.alias("tied", "fc2.weight")
    graph.add(nn.Linear(), graph["fc1"], params={"weight": "tied"}, name="again")
    found = costs(graph)
    assert found["again"].parameters == 24
    assert total_cost(graph.nodes).parameters == 40 + 27


def test_buffers_are_no_parameters() -> None:
    graph = mlp()
    graph.state.declare("mask", parse_type("f32[8,8]"), "buffer")
    graph.add(core.Parameter(), params={"value": "mask"}, name="mask")
    assert costs(graph)["mask"] == Cost()


def test_a_symbol_that_is_no_batch_is_said_to_count_as_one() -> None:
    graph = Graph()
    x = graph_input(graph, "f32[N,S,4]")
    layer(graph, nn.Linear(), x, scope="fc", weight=torch.empty(2, 4))
    ctx = Context(graph)
    cost(graph, ctx)
    assert [d.message for d in ctx.diagnostics] == ["dimension S counts as 1"]
    assert graph["fc"].meta[Cost].macs == 8
    assert costs(graph, N=2, S=10)["fc"].macs == 160
    cost(graph, ctx, sizes={"T": 3})
    assert "no dimension is called 'T'" in ctx.diagnostics[-1].message


def test_what_cannot_be_counted_is_said() -> None:
    graph = Graph()
    x = graph_input(graph, "f32[N,4]")
    type = parse_type("f32[N,4]")
    product = Call(target="aten.tensordot.default", args=Template.parse("(%0, %0, [1], [1])"), returns=type)
    graph.add(product, x, name="product")
    graph.state["w"] = torch.ones(2)
    opaque = Module(cls="user.Mixer", args=Template.parse("(%0,)"), returns=type)
    graph.add(opaque, x, params={"w": "w"}, name="opaque")
    graph.add(Call(target="aten.sin.default", args=Template.parse("(%0,)"), returns=type), x)
    ctx = Context(graph)
    cost(graph, ctx)
    assert [d.node for d in ctx.diagnostics] == ["product", "opaque"]


def test_an_op_of_ones_own_brings_one_function() -> None:
    class Triple(nn.Relu):
        name = "test.triple"

    try:
        macs.register(Triple, lambda op, node: node.tensor_type.numel * 3)
        graph = Graph()
        node = graph.add(Triple(), graph_input(graph, "f32[N,4]"), name="triple")
        assert costs(graph)[node.name].macs == 12
    finally:
        macs.register(Triple, macs.dispatch(object))


def test_a_cost_that_is_gone_is_forgotten() -> None:
    graph = mlp()
    costs(graph)
    assert Cost not in graph["x"].meta
    graph["relu"].op = nn.Dropout()
    costs(graph)
    assert Cost not in graph["relu"].meta


def test_totals_are_recorded_by_level() -> None:
    graph = quantized_mlp()
    ctx = Context(graph)
    cost(graph, ctx)
    assert ctx.metrics["macs"] == {"quantized": 56}


def test_empty_graph() -> None:
    assert costs(Graph()) == {}
    assert total_cost([]) == Cost()


@pytest.mark.slow
def test_mixtral_as_torch_counts_and_by_hand() -> None:
    """Torch's counter knows neither the products of experts nor those of attention on a CPU."""
    from transformers import MixtralConfig, MixtralForCausalLM

    config = MixtralConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_local_experts=4,
        num_experts_per_tok=2,
        use_cache=False,
    )
    model, ids = MixtralForCausalLM(config).eval(), torch.arange(10)[None]
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        model(input_ids=ids)
    graph = mase.trace(model, args=(), kwargs={"input_ids": ids})
    found = costs(graph)
    experts = sum(found[node.name].macs for node in graph.find(GroupedMatMul))
    attention = sum(found[node.name].macs for node in graph.find(Attention))
    assert experts == 2 * (10 * 2) * (32 * 2 * 48 + 48 * 32)  # layers, rows, gate and up together, down
    assert attention == 2 * 4 * (2 * 10 * 10 * 8)
    assert sum(c.macs for c in found.values()) - experts - attention == counter.get_total_flops() // 2

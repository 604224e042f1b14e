"""Folding against not folding, for every layer that can absorb a batch norm, and each reason not to."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from mase.ir import Graph, Node, Op, parse_format, parse_type
from mase.ir.ops import conv, integer, nn, norm
from mase.passes import Context, apply_rewrites
from mase.passes.analyses.statistics import Statistics
from mase.passes.transforms.fold_batchnorm import FoldBatchnorm
from tests.passes.graphs import batch_norm, graph_input, layer, run

LAYERS: dict[str, tuple[Op, tuple[int, ...], tuple[int, ...], int]] = {
    # op, shape of x, shape of weight, output channels
    "linear": (nn.Linear(), (5, 4), (6, 4), 6),
    "conv1d": (conv.Conv1d(stride=(2,)), (2, 4, 9), (6, 4, 3), 6),
    "conv2d": (conv.Conv2d(padding=((1, 1), (0, 2))), (2, 4, 7, 7), (6, 4, 3, 3), 6),
    "conv2d reflect": (
        conv.Conv2d(padding=((1, 1), (1, 1)), padding_mode="reflect"),
        (2, 4, 7, 7),
        (6, 4, 3, 3),
        6,
    ),
    "conv2d groups": (conv.Conv2d(groups=2), (2, 4, 7, 7), (6, 2, 3, 3), 6),
    "conv2d depthwise": (conv.Conv2d(groups=4), (2, 4, 7, 7), (8, 1, 3, 3), 8),
    "conv3d": (conv.Conv3d(), (2, 4, 5, 5, 5), (6, 4, 3, 3, 3), 6),
    "conv_transpose1d": (conv.ConvTranspose1d(stride=(2,)), (2, 4, 5), (4, 6, 3), 6),
    "conv_transpose2d": (conv.ConvTranspose2d(), (2, 4, 5, 5), (4, 6, 3, 3), 6),
    "conv_transpose2d groups": (conv.ConvTranspose2d(groups=2), (2, 4, 5, 5), (4, 3, 3, 3), 6),
    "conv_transpose3d": (conv.ConvTranspose3d(), (2, 4, 3, 3, 3), (4, 6, 2, 2, 2), 6),
}


def fold(graph: Graph) -> Context:
    ctx = Context(graph)
    apply_rewrites(FoldBatchnorm(), graph, ctx)
    return ctx


def pair(name: str, dtype: torch.dtype, *, bias: bool = True) -> tuple[Graph, Tensor]:
    """A graph of a layer and a batch norm, and what to feed it."""
    torch.manual_seed(0)
    op, shape, weight_shape, channels = LAYERS[name]
    graph, x = Graph(), torch.randn(shape, dtype=dtype)
    format = "f64" if dtype == torch.float64 else "f32"
    node = graph_input(graph, f"{format}[N,{','.join(map(str, shape[1:]))}]")
    weights = {"weight": torch.randn(weight_shape, dtype=dtype)}
    if bias:
        weights["bias"] = torch.randn(channels, dtype=dtype)
    node = layer(graph, op, node, scope="net.layer", **weights)
    graph.outputs = [batch_norm(graph, node, channels, "net.bn", like=x)]
    return graph, x


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize(("dtype", "limit"), [(torch.float64, 1e-12), (torch.float32, 1e-5)], ids=str)
@pytest.mark.parametrize("name", LAYERS)
def test_the_numbers_stay(name: str, dtype: torch.dtype, limit: float, bias: bool) -> None:
    graph, x = pair(name, dtype, bias=bias)
    before = run(graph, x)
    fold(graph)
    assert [n.op.name for n in graph.nodes] == ["core.input", LAYERS[name][0].name]
    torch.testing.assert_close(run(graph, x), before, rtol=limit, atol=limit * float(before.abs().max()))
    assert sorted(graph.state) == ["net.layer.bias", "net.layer.weight"]
    assert graph["net_layer"].scope == "net.layer"
    assert graph["net_layer"].infer() == graph["net_layer"].type


def test_what_the_layer_gives_is_what_the_batch_norm_gave() -> None:
    graph, _ = pair("conv2d", torch.float32)
    old, new = (Statistics(count=1, min=0.0, max=m, mean=0.0, variance=0.0, quantiles={}) for m in (1.0, 2.0))
    graph["net_layer"].meta.set(old)
    graph["net_bn"].meta.set(new)
    fold(graph)
    assert graph["net_layer"].meta[Statistics] == new


def test_without_affine_weights() -> None:
    graph, x = pair("conv2d", torch.float64)
    graph["net_bn"].params = {k: v for k, v in graph["net_bn"].params.items() if k.startswith("running")}
    del graph.state["net.bn.weight"], graph.state["net.bn.bias"]
    before = run(graph, x)
    fold(graph)
    torch.testing.assert_close(run(graph, x), before, rtol=1e-12, atol=1e-12)


def also_used(graph: Graph) -> None:
    graph.outputs = [*graph.outputs, graph["net_layer"]]


def used_twice(graph: Graph) -> None:
    graph.outputs = [*graph.outputs, graph.add(nn.Relu(), graph["net_layer"])]


def shared_weight(graph: Graph) -> None:
    graph.state.alias("tied.weight", "net.layer.weight")
    graph.outputs = [
        *graph.outputs,
        graph.add(nn.Linear(), graph["x"], params={"weight": "tied.weight"}, name="tied"),
    ]


def no_running_statistics(graph: Graph) -> None:
    graph["net_bn"].params = {k: v for k, v in graph["net_bn"].params.items() if "running" not in k}


def activation_between(graph: Graph) -> None:
    with graph.inserting_before(graph["net_bn"]):
        graph["net_bn"].inputs = [graph.add(nn.Relu(), graph["net_layer"], name="act")]


def quantized_layer(graph: Graph) -> None:
    fixed = parse_format("fixed<16,8>")
    graph["net_layer"].op = integer.LinearInteger(data_in=fixed, weight=fixed, bias=fixed)


def bias_key_taken(graph: Graph) -> None:
    graph["net_layer"].params = {"weight": "net.layer.weight"}


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (also_used, "'net_layer' is also used without"),
        (used_twice, "'net_layer' is also used without"),
        (shared_weight, "'net_layer' are also those of 'tied'"),
        (no_running_statistics, "no running statistics"),
        (activation_between, "'act' (nn.relu) is no convolution"),
        (bias_key_taken, "the name 'net.layer.bias' for one is taken"),
        (quantized_layer, "'net_layer' is quantized already; put fold-batchnorm before quantize"),
    ],
)
def test_what_cannot_be_folded_stays_and_says_why(spoil: Callable[[Graph], None], reason: str) -> None:
    graph, _ = pair("linear", torch.float32)
    spoil(graph)
    size, state = len(graph), dict(graph.state.entries())
    weight = graph.state["net.layer.weight"]
    ctx = fold(graph)
    assert len(graph) == size
    assert graph.state.entries() == state
    assert graph.state["net.layer.weight"] is weight
    (note,) = ctx.rejected.values()
    assert reason in note.message
    assert note.node == "net_bn"


def test_channels_must_be_dimension_1() -> None:
    """Batch norm of ``[N, C, L]`` after a linear layer normalises C, which is not the layer's features."""
    graph = Graph()
    x = graph_input(graph, "f32[N,6,4]")
    y = layer(graph, nn.Linear(), x, scope="fc", weight=torch.randn(6, 4))
    graph.outputs = [batch_norm(graph, y, 6, "bn", like=torch.empty(0))]
    (note,) = fold(graph).rejected.values()
    assert "dimension 1 is not its channels" in note.message


def test_a_batch_norm_shared_by_two_layers() -> None:
    torch.manual_seed(0)
    graph = Graph()
    x = graph_input(graph, "f64[N,4]")
    like = torch.empty(0, dtype=torch.float64)
    a = layer(graph, nn.Linear(), x, scope="a", weight=torch.randn(3, 4, dtype=torch.float64))
    first = batch_norm(graph, a, 3, "bn", like=like)
    b = layer(graph, nn.Linear(), x, scope="b", weight=torch.randn(3, 4, dtype=torch.float64))
    second: Node = graph.add(norm.BatchNorm(), b, params=first.params, scope="bn")
    graph.outputs = [second, first]
    data = torch.randn(5, 4, dtype=torch.float64)
    before = run(graph, data)
    fold(graph)
    assert sorted(graph.state) == ["a.bias", "a.weight", "b.bias", "b.weight"]
    for new, old in zip(run(graph, data), before, strict=True):
        torch.testing.assert_close(new, old, rtol=1e-12, atol=1e-12)


def test_half_precision_weights_keep_their_type() -> None:
    graph, _ = pair("linear", torch.float32, bias=False)
    graph["x"].type = parse_type("bf16[N,4]")
    graph.state["net.layer.weight"] = graph.state["net.layer.weight"].bfloat16()
    fold(graph)
    assert [str(e.type.format) for e in graph.state.entries().values()] == ["bf16", "bf16"]


def test_empty_graph() -> None:
    graph = Graph()
    fold(graph)
    assert len(graph) == 0

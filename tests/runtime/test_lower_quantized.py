"""Lowering of quantized graphs: every op, and no bit lost on the way from one to the next."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from mase.ir import (
    F32,
    Graph,
    Op,
    TensorType,
    parse_format,
    parse_type,
)
from mase.ir.ops import core, integer, tensor
from mase.ir.ops import nn as nn_ops
from mase.runtime.kernels import encode
from mase.runtime.lower import lower
from tests.runtime.lowering_graphs import call, fixed, graph_of


def test_no_bit_is_lost_between_quantized_ops() -> None:
    """The accumulator of the first layer has 40 bits; the second rounds it, and nothing did before."""
    rng = np.random.default_rng(0)
    weights = [rng.integers(-(2**15), 2**15, (64, 64)) for _ in range(2)]
    graph = Graph()
    for i, w in enumerate(weights):
        graph.state[f"l{i}.weight"] = torch.from_numpy(w).float() / 256
    x = graph.add(core.Input(), type=parse_type("f32[N,64]"), name="x")
    formats = {"data_in": parse_format("fixed<16,8>"), "weight": parse_format("fixed<16,8>")}
    wide = {"data_in": parse_format("fixed<32,10>"), "weight": parse_format("fixed<16,8>")}
    h = graph.add(integer.LinearInteger(**formats), x, params={"weight": "l0.weight"}, scope="l0")
    flat = graph.add(tensor.Flatten(start=0, end=0), h)
    y = graph.add(integer.LinearInteger(**wide), flat, params={"weight": "l1.weight"}, scope="l1")
    graph.outputs = [y]
    module: Any = lower(graph).eval()
    assert module.l0.wide
    assert not module.l1.wide
    codes = rng.integers(-(2**15), 2**15, (50, 64))
    accumulator = codes @ weights[0].T
    assert (abs(accumulator) > 2**24).mean() > 0.9
    requantized = (
        encode(torch.from_numpy(accumulator).double() / 2.0**16, "fixed<32,10>").numpy().astype(np.int64)
    )
    ties = accumulator % 64 == 32
    assert ties.any()
    expected = torch.from_numpy(requantized @ weights[1].T).double() / 2.0**18
    found = module(torch.from_numpy(codes).float() / 256)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected.float())
    module.l0.wide = False
    assert not torch.equal(module(torch.from_numpy(codes).float() / 256), expected.float())


@pytest.mark.parametrize(
    ("consumer", "wide"),
    [
        (fixed(integer.ReluInteger), True),
        (nn_ops.Relu(), False),
        (nn_ops.Softmax(), False),
        (integer.ReluInteger(), False),
        (None, False),
    ],
)
def test_results_stay_wide_only_for_quantizers(consumer: Op | None, wide: bool) -> None:
    graph, x = graph_of(fc__weight=torch.eye(4))
    node = graph.add(fixed(integer.LinearInteger), x, params={"weight": "fc.weight"}, scope="fc")
    view = call(graph, "aten.view.default", "(%0, [-1])", node)
    other = graph.add(fixed(integer.ReluInteger), node)
    graph.outputs = [other, graph.add(consumer, view) if consumer else view]
    module: Any = lower(graph).eval()
    assert module.fc.wide is wide
    assert all(result.dtype == torch.float32 for result in module(torch.randn(2, 4)))
    half = module.to(torch.float16)
    assert all(result.dtype == torch.float16 for result in half(torch.randn(2, 4).half()))


def test_what_the_caller_sees_is_not_wide() -> None:
    graph, x = graph_of(fc__weight=torch.randn(4, 4))
    op, params = fixed(integer.LinearInteger), {"weight": "fc.weight"}
    seen = graph.add(op, x, params=params, scope="fc")
    inner = graph.add(op, x, params=params, scope="fc")
    graph.outputs = [seen, graph.add(fixed(integer.AddInteger), seen, inner)]
    module: Any = lower(graph).eval()
    value = torch.randn(2, 4)
    assert [result.dtype for result in module(value)] == [torch.float32] * 2
    units = [module.get_submodule(n.target) for n in module.graph.nodes if n.op == "call_module"]
    assert [getattr(unit, "unit", unit).wide for unit in units] == [False, True, False]


@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_every_quantized_op_lowers() -> None:
    torch.manual_seed(0)
    graph = Graph()
    shapes = {
        "conv.weight": (4, 2, 3, 4),
        "conv.bias": (4,),
        "up.weight": (4, 2, 2, 2),
        "bn.weight": (4,),
        "bn.bias": (4,),
        "bn.running_mean": (4,),
        "bn.running_var": (4,),
        "emb.weight": (7, 3),
    }
    for key, shape in shapes.items():
        graph.state.declare(key, TensorType(F32, shape), "buffer" if "running" in key else "parameter")
        graph.state[key] = torch.rand(shape) + 0.5
    x = graph.add(core.Input(), type=parse_type("f32[N,4,9,9]"), name="x")
    i = graph.add(core.Input(), type=parse_type("i64[N]"), name="i")

    def roles(scope: str) -> dict[str, str]:
        return {k.partition(".")[2]: k for k in shapes if k.startswith(f"{scope}.")}

    padded = fixed(integer.Conv2dInteger, padding=((1, 1), (1, 2)), stride=(1, 1), groups=2)
    h = graph.add(padded, x, params=roles("conv"), scope="conv", name="conv")
    assert str(h.type) == "f32[N,4,9,9]"
    h = graph.add(fixed(integer.BatchNormInteger), h, params=roles("bn"), scope="bn")
    up = fixed(integer.ConvTranspose2dInteger, stride=(2, 2), groups=2)
    u = graph.add(up, h, params=roles("up"), scope="up")
    m = graph.add(fixed(integer.MaxPool2dInteger, kernel=(2, 2), stride=(2, 2)), h)
    a = graph.add(fixed(integer.AvgPool2dInteger, kernel=(2, 2), stride=(2, 2)), h)
    s = graph.add(fixed(integer.SubInteger), graph.add(fixed(integer.AddInteger), m, a), a)
    p = graph.add(fixed(integer.AdaptiveAvgPool2dInteger, output_size=(1, None)), s)
    e = graph.add(fixed(integer.EmbeddingInteger), i, params=roles("emb"), scope="emb")
    graph.outputs = [u, p, graph.add(fixed(integer.MatMulInteger), s, s), e]
    module = lower(graph)
    inputs = torch.randn(2, 4, 9, 9), torch.tensor([1, 6])
    floats = graph.copy()
    for node in floats.nodes:
        if hasattr(node.op, "float_op"):
            node.op = node.op.float_op
    twin = lower(floats)
    for training in (True, False):
        for found, expected in zip(
            module.train(training)(*inputs), twin.train(training)(*inputs), strict=True
        ):
            assert (found - expected).abs().max() < 0.02 * expected.abs().max()
    assert [op.name for op in (n.op for n in graph.nodes) if not hasattr(op, "float_op")] == [
        "core.input"
    ] * 2
    for node in graph.nodes:
        path = {n.name: n.target for n in module.graph.nodes}[node.name]
        if node.op.name.startswith("mase."):
            assert module.get_submodule(str(path)).mase_op == node.op

"""Lowering of graphs written by hand: names, places, what is refused and how it is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mase.ir import (
    F32,
    Graph,
    Location,
    MaseError,
    Node,
    Op,
    TensorType,
    parse_format,
    parse_type,
    register_op,
)
from mase.ir.ops import conv, core, integer, norm, pool, tensor
from mase.ir.ops import nn as nn_ops
from mase.ir.ops import torch as torch_ops
from mase.ir.template import Template
from mase.ir.types import Type
from mase.runtime.kernels import encode
from mase.runtime.lower import lower, write_back
from mase.runtime.lowering import Function, Source, to_module


def graph_of(**weights: Tensor) -> tuple[Graph, Node]:
    """A graph with weights (``__`` for the dot) and one input ``x: f32[N,4]``."""
    graph = Graph()
    for key, value in weights.items():
        graph.state[key.replace("__", ".")] = value
    return graph, graph.add(core.Input(), type=parse_type("f32[N,4]"), name="x")


def call(
    graph: Graph, target: str, args: str, *inputs: Node, kwargs: str = "{}", type: str = "f32[N,4]"
) -> Node:
    op = torch_ops.Call(
        target=target, args=Template.parse(args), kwargs=Template.parse(kwargs), returns=parse_type(type)
    )
    return graph.add(op, *inputs)


def run(graph: Graph, *args: Any, outputs: list[Node], training: bool = False) -> Any:
    graph.outputs = outputs
    return lower(graph).train(training)(*args)


# ------------------------------------------------------------------------------------------- placement


def test_keys_that_no_node_uses_are_there_with_their_kind() -> None:
    graph, x = graph_of(a__weight=torch.ones(2), a__b__c=torch.ones(3), top=torch.arange(3))
    for key, kind in (("f", "frozen"), ("deep.buffer", "buffer"), ("const", "constant")):
        graph.state.declare(key, parse_type("f32[2]"), kind)  # type: ignore[arg-type]
        graph.state[key] = torch.ones(2)
    graph.outputs = [x]
    module = lower(graph)
    assert list(module.state_dict()) == ["top", "f", "a.weight", "a.b.c", "deep.buffer"]
    trainable = {key: p.requires_grad for key, p in module.named_parameters()}
    assert trainable == {"a.weight": True, "a.b.c": True, "top": False, "f": False}
    assert [key for key, _ in module.named_buffers()] == ["const", "deep.buffer"]


def test_weights_under_foreign_names_are_borrowed() -> None:
    weight, bias = torch.randn(3, 4), torch.randn(3)
    graph, x = graph_of(attn__in_proj_weight=weight, attn__in_proj_bias=bias, attn__out__weight=torch.eye(4))
    params = {"weight": "attn.in_proj_weight", "bias": "attn.in_proj_bias"}
    y = graph.add(nn_ops.Linear(), x, params=params, scope="attn")
    z = graph.add(nn_ops.Linear(), x, params={"weight": "attn.out.weight"}, scope="attn")
    graph.outputs = [y, z]
    module: Any = lower(graph)
    assert set(module.state_dict()) == set(graph.state)
    a, b = module(torch.ones(2, 4))
    assert torch.equal(a, nn.functional.linear(torch.ones(2, 4), weight, bias))
    assert torch.equal(b, torch.ones(2, 4))
    assert type(module.attn.out) is nn.Linear  # found by its keys, though the scope is another
    a.sum().backward()
    assert module.attn.in_proj_weight.grad is not None


def test_root_parameters_and_one_module_model() -> None:
    graph, x = graph_of(weight=torch.eye(4), bias=torch.ones(4))
    y = graph.add(nn_ops.Linear(), x, params={"weight": "weight", "bias": "bias"})
    graph.outputs = [y]
    module = lower(graph)
    assert list(module.state_dict()) == ["weight", "bias"]
    assert module(torch.zeros(1, 4)).tolist() == [[1] * 4]


def test_units_without_parameters_get_places_of_their_own() -> None:
    graph, x = graph_of(enc__fc__weight=torch.eye(4))
    y = graph.add(nn_ops.Linear(), x, params={"weight": "enc.fc.weight"}, scope="enc.fc")
    for scope in ("enc", "enc", "drop", "", "act"):
        y = graph.add(nn_ops.Dropout(p=0.5), y, scope=scope)
    graph.add(nn_ops.Dropout(p=0.1), y, scope="act")
    graph.outputs = [y]
    module = lower(graph)
    places = [n.target for n in module.graph.nodes if n.op == "call_module"]
    assert places == [
        "enc.fc",
        *("enc.mase_dropout_0", "enc.mase_dropout_1", "drop", "mase_dropout_0", "act.mase_dropout_0"),
        "act.mase_dropout_1",
    ]


def test_a_module_called_in_two_ways_shares_its_weights() -> None:
    graph, x = graph_of(fc__weight=torch.randn(4, 4))
    formats = [
        {"data_in": parse_format(f), "weight": parse_format("fixed<8,4>")}
        for f in ("fixed<8,4>", "fixed<8,2>")
    ]
    first, twin, other = (
        graph.add(integer.LinearInteger(**f), x, params={"weight": "fc.weight"}, scope="fc")
        for f in (formats[0], formats[0], formats[1])
    )
    graph.outputs = [first, twin, other]
    module = lower(graph)
    targets = [n.target for n in module.graph.nodes if n.op == "call_module"]
    assert targets == ["fc", "fc", "fc.mase_linear_integer_0"]
    assert list(module.state_dict()) == ["fc.weight"]
    a, b, c = module(torch.full((1, 4), 0.2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_fx_names_are_the_nodes_names_even_those_of_builtins() -> None:
    graph, x = graph_of(w=torch.ones(4))
    value: Node = x
    for name in ("input", "max", "getattr", "torch", "self", "return", "getitem", "output", "w"):
        value = graph.add(tensor.Transpose(dim0=0, dim1=1), value, name=name)
        value = graph.add(tensor.Transpose(dim0=0, dim1=1), value, name=name)
    zeros = call(graph, "aten.zeros.default", "([2],)", type="f32[2]")
    w = graph.add(core.Parameter(), params={"value": "w"}, name="w_value")
    graph.outputs = [value, zeros, w]
    module = lower(graph)
    names = {n.meta["mase"]: n.name for n in module.graph.nodes if "mase" in n.meta}
    assert list(names) == [n.name for n in graph.nodes]
    assert {name for name, found in names.items() if name != found} == {
        "self"
    }  # fx's own name for the module
    assert torch.equal(module(torch.ones(3, 4))[0], torch.ones(3, 4))
    module.recompile()
    assert torch.equal(module(torch.ones(3, 4))[0], torch.ones(3, 4))


def test_tensors_made_inside_follow_the_input() -> None:
    graph, x = graph_of()
    zeros = call(
        graph, "aten.zeros.default", "([2],)", kwargs="{'device': 'cuda:3', 'dtype': f16}", type="f16[2]"
    )
    ones = call(graph, "torch.ones", "(2,)", type="f32[2]")
    like = call(graph, "aten.full_like.default", "(%0, 2)", x)
    moved = call(graph, "aten._to_copy.default", "(%0,)", x, kwargs="{'dtype': f64, 'device': 'cpu'}")
    graph.outputs = [zeros, ones, like, moved]
    module = lower(graph)
    for device in ("cpu", "meta"):
        results = module(torch.ones(1, 4, device=device))
        assert [r.device.type for r in results] == [device] * 4
    assert [r.dtype for r in results] == [torch.float16, torch.float32, torch.float32, torch.float64]


def test_calls_of_every_kind() -> None:
    graph, x = graph_of()
    size = graph.add(
        torch_ops.Call(target="aten.sym_size.int", args=Template.parse("(%0, 0)"), returns=parse_type("int")),
        x,
    )
    double = graph.add(
        torch_ops.Call(target="operator.mul", args=Template.parse("(%0, 2)"), returns=parse_type("int")), size
    )
    view = call(graph, "torch.Tensor.view", "(%0, %1, -1)", x, double)
    part = call(graph, "operator.getitem", "(%0, (slice(None, 1, None), slice(0, %1, 2)))", view, size)
    kinds = call(graph, "torch.cat", "([%0, %0],)", part, kwargs="{'dim': 0}")
    where = call(graph, "torch.nn.functional.softplus", "(%0,)", kinds)
    floor = call(graph, "math.floor", "(2.5,)", type="int")
    graph.outputs = [where, floor]
    x_value = torch.randn(2, 4)
    result, number = lower(graph)(x_value)
    half = x_value.view(4, -1)[:1, 0:2:2]
    assert torch.equal(result, nn.functional.softplus(torch.cat([half, half])))
    assert number == 2


# ----------------------------------------------------------------------------------- what text may name


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.eval",
        "builtins.exec",
        "builtins.getattr",
        "builtins.__import__",
        "operator.attrgetter",
        "operator.call",
        "operator.methodcaller",
        "torch.load",
        "torch.hub.load",
        "torch.ops.load_library",
        "torch.Tensor.__reduce_ex__",
        "torch.from_file",
        "aten.from_file.default",
        "aten.nothing.default",
        "aten.add.Nothing",
        "aten.__class__",
        "subprocess.Popen",
    ],
)
def test_only_listed_functions_can_be_called(target: str) -> None:
    graph, x = graph_of()
    graph.outputs = [call(graph, target, "(%0,)", x)]
    with pytest.raises(MaseError, match=r"unknown (function|operator)"):
        lower(graph)


def test_unknown_calls_say_what_was_meant() -> None:
    graph, x = graph_of()
    node = call(graph, "aten.add.Tensr", "(%0,)", x)
    node.loc = Location("model.py", 21)
    graph.outputs = [node]
    with pytest.raises(MaseError) as error:
        lower(graph)
    assert str(error.value) == (
        "error: unknown operator 'aten.add.Tensr'\n"
        "  in: node 'call', from model.py:21\n"
        "  help: did you mean 'aten.add.Tensor'?"
    )


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("subprocess.Popen(args=%0)", "no dataclass"),
        ("antigravity.Thing(a=%0)", "not loaded"),
        ("builtins.dict(a=%0)", "no dataclass"),
        ("os.system(command=%0)", "no dataclass"),
        ("transformers.AutoModel(a=%0)", "no dataclass"),
    ],
)
def test_only_dataclasses_can_be_returned(name: str, why: str) -> None:
    graph, x = graph_of()
    graph.outputs = [x]
    graph.structure = Template.parse(name)
    with pytest.raises(MaseError, match=why):
        lower(graph)


@pytest.mark.parametrize("named", ["torch.load", "fixed<8,4>", "nothing"])
def test_only_constants_of_torch_can_be_named(named: str) -> None:
    graph, x = graph_of()
    op = torch_ops.Call(
        target="aten.zeros.default", args=Template("([2],)"), kwargs=Template("{}"), returns=x.type
    )
    object.__setattr__(op, "kwargs", _Named(named))
    graph.outputs = [graph.add(op)]
    with pytest.raises(MaseError):
        lower(graph)


class _Named(Template):
    """A template of one dtype, whose text cannot say what a test wants to say."""

    def fill(self, hole: Any, named: Any, record: Any = None) -> Any:
        return {"dtype": named(self.text)}


@pytest.mark.parametrize("path", ["x.__class__", "x[f()]", "x[", "f(x)"])
def test_malformed_input_paths(path: str) -> None:
    graph = Graph()
    graph.outputs = [graph.add(core.Input(path=path), type=parse_type("f32[4]"))]
    with pytest.raises(MaseError, match="malformed input path"):
        lower(graph)


# ---------------------------------------------------------------------------------------------- errors


def test_missing_weights_are_named() -> None:
    graph, x = graph_of()
    graph.state.declare("fc.weight", parse_type("f32[4,4]"))
    graph.outputs = [graph.add(nn_ops.Linear(), x, params={"weight": "fc.weight"}, scope="fc")]
    with pytest.raises(MaseError, match=r"fc\.weight"):
        lower(graph)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(bad: float) -> None:
    weight = torch.ones(4, 4)
    weight[1, 2] = bad
    graph, x = graph_of(fc__weight=weight)
    node = graph.add(nn_ops.Linear(), x, params={"weight": "fc.weight"}, scope="fc", name="fc")
    node.loc = Location("model.py", 3)
    graph.outputs = [node]
    lower(graph)  # a float model may hold what it likes
    node.op = integer.LinearInteger(weight=parse_format("fixed<8,4>"))
    with pytest.raises(MaseError, match=r"'fc.weight' holds values that are not finite") as error:
        lower(graph)
    assert "node 'fc', from model.py:3" in str(error.value)


def test_incomplete_formats_are_refused() -> None:
    graph, x = graph_of(fc__weight=torch.eye(4))
    op = integer.LinearInteger(weight=parse_format("fixed<8>"))
    graph.outputs = [graph.add(op, x, params={"weight": "fc.weight"}, scope="fc")]
    with pytest.raises(MaseError, match="fixed<8>"):
        lower(graph)


def test_an_op_without_a_lowering_says_how_to_write_one() -> None:
    @register_op("test.unknown")
    class Unknown(Op):
        def infer(self, data_in: Type) -> Type:
            return data_in

    graph, x = graph_of()
    graph.outputs = [graph.add(Unknown(), x)]
    with pytest.raises(
        MaseError, match=r"(?s)op test.unknown has no lowering.*@to_module.register\(Unknown\)"
    ):
        lower(graph)

    @to_module.register(Unknown)
    def rule(op: Unknown, source: Source) -> Function:
        return Function(torch.neg)

    assert lower(graph)(torch.ones(1, 4)).tolist() == [[-1] * 4]


def test_write_back_wants_the_same_names() -> None:
    graph, x = graph_of(a__weight=torch.ones(2))
    graph.outputs = [x]
    module = lower(graph)
    module.register_buffer("extra", torch.ones(1))
    del module.get_submodule("a")._parameters["weight"]
    with pytest.raises(MaseError, match=r"missing \['a.weight'\], extra \['extra'\]"):
        write_back(module, graph)


# ----------------------------------------------------------------------------------------- opaque modules


class Odd(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, x: Tensor, flip: bool = False) -> Tensor:
        return self.inner(x.flip(-1) if flip else x)


def _opaque() -> tuple[Graph, nn.Module]:
    model = nn.Sequential(Odd())
    graph, x = graph_of(**{k.replace(".", "__"): v for k, v in model.state_dict().items()})
    cls = f"{Odd.__module__}.{Odd.__qualname__}"
    op = torch_ops.Module(cls=cls, args=Template("(%0,)"), kwargs=Template("{'flip': True}"), returns=x.type)
    params = {"inner.weight": "0.inner.weight", "inner.bias": "0.inner.bias"}
    graph.outputs = [graph.add(op, x, params=params, scope="0")]
    return graph, model


def test_opaque_modules_run_on_the_graphs_weights() -> None:
    graph, model = _opaque()
    graph.state["0.inner.weight"] = torch.diag(torch.arange(4.0))
    graph.state["0.inner.bias"] = torch.zeros(4)
    module = lower(graph, source_model=model)
    assert module(torch.tensor([[1.0, 2, 3, 4]])).tolist() == [[0, 3, 4, 3]]
    assert module.get_submodule("0") is not model[0]
    assert list(module.state_dict()) == list(model.state_dict())
    module.get_parameter("0.inner.bias").data.fill_(9)
    assert not torch.equal(model.state_dict()["0.inner.bias"], torch.full((4,), 9.0))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (None, "is opaque and needs the source model"),
        (nn.Sequential(nn.ReLU()), "is torch.nn.modules.activation.ReLU in the source model, not"),
        (nn.Sequential(), "the source model has no module '0'"),
    ],
)
def test_opaque_modules_need_their_model(model: nn.Module | None, message: str) -> None:
    graph, _ = _opaque()
    with pytest.raises(MaseError, match=message) as error:
        lower(graph, source_model=model)
    assert "source_model" in str(error.value)


# ------------------------------------------------------------------------------------- quantized graphs


def fixed(op: type[Any], **attributes: Any) -> Any:
    """An op all of whose operands are 16 bits wide, 8 of them fractional."""
    return op(**attributes, **dict.fromkeys(op.roles, parse_format("fixed<16,8>")))


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


def test_asymmetric_padding_that_no_constructor_knows() -> None:
    graph = Graph()
    graph.state["c.weight"] = torch.randn(2, 3, 3)
    x = graph.add(core.Input(), type=parse_type("f32[N,3,8]"), name="x")
    nodes = [
        graph.add(
            conv.Conv1d(padding=((0, 2),), padding_mode=mode), x, params={"weight": "c.weight"}, scope="c"
        )
        for mode in ("zeros", "replicate")
    ]
    value = torch.randn(2, 3, 8)
    found = run(graph, value, outputs=nodes)
    for result, mode in zip(found, ("constant", "replicate"), strict=True):
        padded = nn.functional.pad(value, (0, 2), mode=mode)
        assert torch.equal(result, nn.functional.conv1d(padded, graph.state["c.weight"]))


def test_batch_norm_and_pools_of_hand_written_graphs() -> None:
    graph = Graph()
    graph.state["bn.weight"] = torch.rand(3)
    x = graph.add(core.Input(), type=parse_type("f32[N,3,8]"), name="x")
    y = graph.add(norm.BatchNorm(), x, params={"weight": "bn.weight"}, scope="bn")
    y = graph.add(pool.AvgPool1d(kernel=(2,), stride=(2,)), y)
    value = torch.randn(2, 3, 8)
    expected = nn.functional.avg_pool1d(
        nn.functional.batch_norm(value, None, None, graph.state["bn.weight"], training=True), 2
    )
    assert torch.equal(run(graph, value, outputs=[y]), expected)


def test_names_that_fx_needs_itself_are_refused() -> None:
    graph, x = graph_of(graph__weight=torch.ones(1))
    graph.outputs = [x]
    with pytest.raises(MaseError, match="keeps the name 'graph' for itself"):
        lower(graph)

"""What lowering refuses, and how it says so: names in text, bad weights, absent models."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mase.ir import (
    Graph,
    Location,
    MaseError,
    Op,
    parse_format,
    parse_type,
    register_op,
)
from mase.ir.ops import core, integer
from mase.ir.ops import nn as nn_ops
from mase.ir.ops import torch as torch_ops
from mase.ir.template import Template
from mase.ir.types import Type
from mase.runtime.lower import lower, write_back
from mase.runtime.lowering import Function, Source, to_module
from tests.runtime.lowering_graphs import call, graph_of


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

"""The interpreter gives the integers of the fake-quantized module, value by value."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch
from torch import nn

import mase
from mase.ir import Graph, MaseError
from mase.ir.ops.exact import Linear, Requantize
from mase.ir.verify import verify
from mase.passes.context import Context
from mase.runtime.integer import Interpreter
from mase.runtime.lower import lower
from tests.runtime import integer_graphs as models
from tests.runtime.integer_graphs import assert_equal_everywhere, legalized, quantized, ties

WIDTHS = pytest.mark.parametrize("width", [8, 6, 4, 2])


def _cases(*lists: list[Any], fast: Callable[..., bool]) -> Any:
    """Every combination; all but the fast ones are for `make test-all`."""
    return [pytest.param(*c, marks=() if fast(*c) else pytest.mark.slow) for c in product(*lists)]


_ROUNDINGS = {"half_even": (8, 2), "half_up": (4,), "floor": (6,)}


@pytest.mark.parametrize(
    ("name", "width", "rounding"),
    _cases(list(models.MODELS), [8, 6, 4, 2], list(_ROUNDINGS), fast=lambda _, w, r: w in _ROUNDINGS[r]),
)
def test_fixed_point(name: str, width: int, rounding: str) -> None:
    """On real inputs and on ties, every value that both compute, under every rounding."""
    model, x = models.MODELS[name]()
    graph = quantized(model, x, rounding=rounding, data_in=f"fixed<{width}>", weight=f"fixed<{width}>")
    integer = legalized(graph)
    assert assert_equal_everywhere(graph, integer, ties(graph, x)) >= 10_000
    assert_equal_everywhere(graph, integer, x)
    assert mase.loads(mase.dumps(integer)) == integer


def test_the_vectors_tell_roundings_apart() -> None:
    """A graph that rounds half up instead differs in more than one of a hundred results."""
    model, x = models.MODELS["digits-cnn"]()
    graph = quantized(model, x, data_in="fixed<4>", weight="fixed<4>")
    integer, x = legalized(graph), ties(graph, x)
    other = integer.copy()
    for node in other.find(Requantize):
        assert isinstance(node.op, Requantize)
        node.op = replace(node.op, to=replace(node.op.to, rounding="half_up"))
    even, up = mase.interpret(integer, x), mase.interpret(other, x)
    for name in (integer.find(Requantize)[0].name, integer.outputs[0].name):
        assert (even[name] != up[name]).double().mean() > 0.01


@pytest.mark.parametrize(
    ("name", "data_in", "weight", "width"),
    _cases(
        ["digits-cnn", "residual", "jets", "attention"],
        ["int<{}>", "uint<{},asym>"],
        ["int<{}>", "int<{},channel=0>"],
        [8, 6, 4, 2],
        fast=lambda name, x, w, width: width == 4 and (name == "residual" or "channel" in w),
    ),
)
def test_arbitrary_scales(name: str, data_in: str, weight: str, width: int) -> None:
    """With ``requant = "dyadic"`` the quantized module computes what multipliers and shifts do."""
    model, x = models.MODELS[name]()
    formats = {"data_in": data_in.format(width), "weight": weight.format(width)}
    graph = quantized(model, x, options="requant = dyadic", **formats)
    integer = legalized(graph)
    assert assert_equal_everywhere(graph, integer, ties(graph, x)) >= 10_000
    assert_equal_everywhere(graph, integer, x)
    with torch.no_grad():
        assert torch.equal(lower(integer).eval()(x), Interpreter(integer)(x))
    assert mase.loads(mase.dumps(integer)) == integer


@WIDTHS
@pytest.mark.parametrize("weight", ["int<{}>", "int<{},channel=0>"])
def test_scales_that_are_powers_of_two(weight: str, width: int) -> None:
    """Without rounding in the float simulation, it gives the integers of the interpreter."""
    model, x = models.MODELS["jets"]()
    models.scale_to_powers_of_two(model, width)
    graph = quantized(model, x, data_in=f"int<{width}>", weight=weight.format(width))
    models.snap_scales(graph)
    integer = legalized(graph)
    assert assert_equal_everywhere(graph, integer, ties(graph, x)) >= 10_000


def test_runs_what_no_float_holds() -> None:
    """Accumulators beyond 53 bits, against Python's integers."""
    layer = nn.Linear(64, 3, bias=False)
    torch.manual_seed(1)
    layer.weight.data = torch.randint(-(2**23), 2**23, (3, 64)).float() * 16
    x = torch.randint(-(2**23), 2**23, (5, 64)).float() * 16
    graph = mase.trace(layer, (x,))
    mase.Pipeline('quantize{default={data_in="fixed<28,0>", weight="fixed<28,0>"}}').run(graph)
    values = mase.interpret(legalized(graph, "{boundary=codes}"), x.long())
    found = values["linear"].tolist()
    rows, columns = x.long().tolist(), layer.weight.long().tolist()
    assert found == [[sum(a * b for a, b in zip(r, c, strict=True)) for c in columns] for r in rows]
    assert max(abs(v) for row in found for v in row) > 2**53


def test_keeps_what_it_is_asked_for() -> None:
    model, x = models.MODELS["toy"]()
    integer = legalized(quantized(model, x, data_in="fixed<8>", weight="fixed<8>"))
    assert list(mase.interpret(integer, x, keep=["fc1"])) == ["fc1"]
    assert set(mase.interpret(integer, x)) == {n.name for n in integer.nodes}
    with pytest.raises(MaseError, match="no node 'fc9' in the graph"):
        mase.interpret(integer, x, keep=["fc9"])


def test_refuses_other_levels() -> None:
    model, x = models.MODELS["toy"]()
    with pytest.raises(MaseError, match="runs graphs at level integer") as caught:
        Interpreter(quantized(model, x, data_in="fixed<8>", weight="fixed<8>"))
    assert "legalize-casts" in str(caught.value)


def test_refuses_inputs_outside_of_their_type() -> None:
    model, x = models.MODELS["toy"]()
    integer = legalized(quantized(model, x, data_in="fixed<4>", weight="fixed<4>"), "{boundary=codes}")
    with pytest.raises(MaseError, match=r"a value in \[9, 9\] lies outside of \[-8, 7\]"):
        mase.interpret(integer, torch.full((1, 1, 2, 2), 9))
    with pytest.raises(MaseError, match="expected the inputs x"):
        Interpreter(integer)()


def test_nan_is_an_error() -> None:
    model, x = models.MODELS["toy"]()
    integer = legalized(quantized(model, x, data_in="fixed<4>", weight="fixed<4>"))
    with pytest.raises(MaseError, match="NaN has no code"):
        mase.interpret(integer, torch.full((1, 1, 2, 2), torch.nan))


def _narrowed(graph: Graph, name: str) -> Graph:
    broken = graph.copy()
    node = broken[name]
    assert isinstance(node.op, Linear)
    node.op = replace(node.op, width=node.op.width - 1)
    node.type = node.infer()
    return broken


def test_a_broken_width_is_found() -> None:
    """The verifier names the accumulator; the interpreter will not start."""
    model, x = models.MODELS["toy"]()
    broken = _narrowed(legalized(quantized(model, x, data_in="fixed<8>", weight="fixed<8>")), "fc2")
    found = verify(broken)
    assert [d.node for d in found] == ["fc2"]
    assert "need 20 bits, but its type is si<19>" in found[0].message
    with pytest.raises(MaseError, match="need 20 bits"):
        Interpreter(broken)


def test_a_broken_weight_is_found() -> None:
    model, x = models.MODELS["toy"]()
    integer = legalized(quantized(model, x, data_in="fixed<8>", weight="fixed<8>"))
    weight = integer.state["fc2.weight"].clone().fill_(127)
    integer.state["fc2.weight"] = weight
    assert [d.node for d in verify(integer)] == ["fc2"]


def test_lowered_module_travels() -> None:
    """Its weights are integers in its state dict, which no training moves and every copy keeps."""
    model, x = models.MODELS["digits-cnn"]()
    graph = quantized(model, x, data_in="fixed<8>", weight="fixed<8>")
    module: Any = lower(legalized(graph))
    state = module.state_dict()
    assert state["head.weight"].dtype == torch.int8
    assert not any(p.requires_grad for p in module.parameters())
    again = copy.deepcopy(module).train()
    again.load_state_dict(state)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(again(x), module(x))
    with torch.no_grad():
        assert torch.equal(again(x), lower(graph).eval()(x))


def test_batches_of_any_size() -> None:
    model, x = models.MODELS["residual"]()
    integer = legalized(quantized(model, x, data_in="fixed<8>", weight="fixed<8>"))
    whole = Interpreter(integer)(x)
    assert torch.equal(torch.cat([Interpreter(integer)(part) for part in x.split(77)]), whole)


def test_eval_measures_the_integers() -> None:
    graph = mase.trace(models.digits("digits-cnn")[0], (torch.zeros(2, 1, 8, 8),))
    graph.header.data = {"source": "digits"}
    passes = 'quantize{default={data_in="fixed<4>", weight="fixed<4>"}},eval,legalize-casts,eval'
    ctx = Context(graph)
    mase.Pipeline(["fold-batchnorm", passes]).run_in(ctx)
    accuracy = ctx.metrics["test/accuracy"]
    assert accuracy["integer"] == accuracy["quantized"] > 0.9

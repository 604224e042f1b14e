"""Tables, softmax, norms and whole transformer blocks as integer ONNX: the interpreter's integers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import mase
from mase.ir import Graph, MaseError, parse_type
from mase.ir.formats import Fixed
from mase.ir.ops import core, exact
from mase.runtime.integer import Interpreter
from mase.runtime.modules import RotaryEmbedding
from mase.runtime.onnx import QdqQuantizers, QonnxQuantizers, Quantizers, print_graph
from tests.runtime.onnx.running import integer_mismatches
from tests.runtime.test_integer_transformers import (
    DYNAMIC,
    SCALED,
    SCALES,
    AddedMask,
    Numbers,
    Parts,
    Sentences,
    bert,
    llama,
    quantized,
)


@pytest.mark.parametrize("dynamic", [None, DYNAMIC], ids=["fixed length", "any length"])
def test_bert(dynamic: Any) -> None:
    graph, data = quantized(bert(), dynamic=dynamic)
    mase.Pipeline("legalize-casts").run(graph)
    assert integer_mismatches(graph, data.ids, data.mask, reference=False) == 0
    assert data.ids.numel() * 64 > 10_000


@pytest.mark.parametrize("heads", [1, 2])
def test_llama(heads: int) -> None:
    graph, data = quantized(llama(num_key_value_heads=heads), "fuse-norms fuse-attention fold-constants")
    mase.Pipeline("legalize-casts").run(graph)
    assert integer_mismatches(graph, data.ids, data.mask, reference=False) == 0


def test_bert_that_writes_attention_out() -> None:
    passes = "fuse-sdpa tabulate"
    graph, data = quantized(bert(attn_implementation="eager"), passes, dynamic=DYNAMIC)
    mase.Pipeline("legalize-casts").run(graph)
    for length in (12, 5):
        inputs = (data.ids[:, :length].contiguous(), data.mask[:, :length].contiguous())
        assert integer_mismatches(graph, *inputs, reference=False) == 0


@pytest.mark.parametrize("quantizers", [QdqQuantizers(), QonnxQuantizers()], ids=["qdq", "qonnx"])
def test_files_of_quantizers_are_refused(quantizers: Quantizers) -> None:
    data = Numbers()
    graph = mase.trace(Parts(), (data.x[:2],))
    mase.Pipeline('quantize{nonlinear="table", batches=1}').run(graph, data)
    with pytest.raises(MaseError, match="computes in integers") as caught:
        print_graph(graph, quantizers)
    named = {d.node for d in caught.value.diagnostics}
    assert {"norm", "softmax"} <= named
    assert len(named) == 7
    assert 'format="integer"' in str(caught.value)


@SCALES
def test_scales_of_any_size(data_in: str) -> None:
    data = Sentences()
    graph = mase.trace(bert(), kwargs=data.inputs, dynamic=DYNAMIC)
    mase.Pipeline([SCALED.format(data_in, "fixed<8,6>"), "legalize-casts"]).run(graph, data)
    assert any(node.op.to.wide for node in graph.nodes if isinstance(node.op, exact.Requantize))
    assert integer_mismatches(graph, data.ids, data.mask, reference=False) == 0


def test_llama_of_any_length() -> None:
    """Causal, padded, and its angles looked up by position, at several lengths and batches in one file."""
    passes = "fuse-norms fuse-attention tabulate{positions=40}"
    graph, data = quantized(llama(num_key_value_heads=1), passes, dynamic=DYNAMIC)
    mase.Pipeline("legalize-casts").run(graph)
    for length, batch in ((12, 16), (1, 3), (40, 2)):
        ids = data.ids.repeat(1, 4)[:batch, :length].contiguous()
        assert integer_mismatches(graph, ids, (ids != 3).long(), reference=False) == 0


def test_added_masks() -> None:
    data = Sentences()
    graph = mase.trace(AddedMask().eval(), kwargs=data.inputs, dynamic=DYNAMIC)
    mase.Pipeline('tabulate,quantize{nonlinear="table", batches=1},legalize-casts').run(graph, data)
    for length in (12, 5):
        inputs = (data.ids[:, :length].contiguous(), data.mask[:, :length].contiguous())
        assert integer_mismatches(graph, *inputs) == 0


@pytest.mark.parametrize("rounding", ["half_even", "half_up", "floor"])
def test_parts(rounding: str) -> None:
    data = Numbers()
    graph = mase.trace(Parts(), (data.x[:2],))
    mase.Pipeline(f'quantize{{nonlinear="table", rounding="{rounding}", batches=1}}').run(graph, data)
    mase.Pipeline("legalize-casts").run(graph)
    assert integer_mismatches(graph, data.x) == 0


@pytest.mark.parametrize("function", [torch.nn.GELU(), torch.nn.SiLU(), torch.nn.Tanh()], ids=str)
def test_functions_of_sixteen_bits(function: torch.nn.Module) -> None:
    """Lines, for every code: the module, the interpreter and both engines agree."""
    x = torch.arange(-(2**15), 2**15).float() * 2.0**-12
    graph = mase.trace(function, (x[:4],))
    formats = 'default={data_in="fixed<16,12>", data_out="fixed<16,12>"}'
    mase.Pipeline(f'quantize{{nonlinear="table", {formats}}}').run(graph)
    module = mase.lower(graph).eval()
    mase.Pipeline("legalize-casts").run(graph)
    assert len(graph.find(exact.Piecewise)) == 1
    assert torch.equal(module(x), Interpreter(graph)(x))
    assert integer_mismatches(graph, x) == 0


def of_codes(op: exact.ExactOp, type: str, **roles: Tensor) -> Graph:
    graph = Graph(level="integer")
    x = graph.add(core.Input(), type=parse_type(type), name="x")
    for role, value in roles.items():
        graph.state[role] = value
    graph.outputs = [graph.add(op, x, params={role: role for role in roles}, name="y")]
    return graph


def test_norms_of_extremes() -> None:
    """Rows without variance, with one number far off, of the largest numbers; 16 bits."""
    source, weight, bias = Fixed(16, 8), Fixed(16, 14), Fixed(16, 30)
    rows = torch.randint(-(2**15), 2**15, (64, 48), generator=torch.manual_seed(0)).short()
    rows[0], rows[1], rows[2] = 0, 77, -(2**15)
    rows[3, 1:] = rows[3, 0]
    rows[3, 0] = 2**15 - 1
    rows[4:20] //= 2**12
    rows = rows.int()  # as ONNX carries 16 bits
    roles = {
        "weight": torch.randint(-(2**15), 2**15, (48,)).short(),
        "bias": torch.randint(-(2**15), 2**15, (48,)).short(),
    }
    for centered in (True, False):
        for out in (Fixed(8, 4), Fixed(16, 12, rounding="half_up")):
            op = exact.Norm.of(source, out, count=48, eps=1e-5, centered=centered, weight=weight, bias=bias)
            assert integer_mismatches(of_codes(op, "si<16>[64,48]", **roles), rows) == 0


@pytest.mark.parametrize("causal", [False, True])
def test_softmax_of_wide_scores(causal: bool) -> None:
    scores = torch.randint(-(2**24), 2**24, (3, 40, 40), generator=torch.manual_seed(0)).int()
    scores[0] //= 2**14
    for step in (2.0**-20, 2.0**-14 * 32**-0.5):
        for out in (Fixed(8, 8, signed=False), Fixed(16, 15, rounding="floor")):
            op = exact.Softmax.of(step, out, causal=causal)
            assert integer_mismatches(of_codes(op, "si<26>[3,40,40]"), scores) == 0


@pytest.mark.parametrize("interleaved", [False, True])
def test_rotary_embedding(interleaved: bool) -> None:
    graph, generator = Graph(level="integer"), torch.manual_seed(0)
    types = {"x": "si<8>[5,16,8]", "cos": "si<8>[16,8]", "sin": "si<6>[16,8]"}
    nodes = [graph.add(core.Input(), type=parse_type(t), name=n) for n, t in types.items()]
    op = exact.RotaryEmbedding(width=20, interleaved=interleaved, zero_point=3, sin_factor=4)
    graph.outputs = [graph.add(op, *nodes, name="y")]
    x = torch.randint(-128, 128, (5, 16, 8), generator=generator).to(torch.int8)
    cos, sin = (torch.randint(-e, e, (16, 8), generator=generator).to(torch.int8) for e in (128, 32))
    assert integer_mismatches(graph, x, cos, sin) == 0
    expected = RotaryEmbedding(interleaved)(x.double() - 3, cos.double(), sin.double() * 4)
    assert torch.equal(Interpreter(graph)(x, cos, sin).double(), expected)

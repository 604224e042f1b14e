"""Run exported models, and vectors on which every rounding is decided."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx.reference import ReferenceEvaluator
from torch import Tensor, nn

import mase
from mase.ir import Graph
from mase.runtime.integer import Interpreter
from mase.runtime.onnx import QdqQuantizers, print_graph
from tests.runtime.onnx.cases import Rows


def run(model: onnx.ModelProto, feeds: dict[str, Any], optimise: bool = True) -> list[Any]:
    """What onnxruntime computes."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    # CPUs without VNNI sum pairs of 8-bit products in 16 bits unless told not to.
    options.add_session_config_entry("session.x64quantprecision", "1")
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return session.run(None, feeds)


def checked(model: onnx.ModelProto) -> onnx.ModelProto:
    """A model that ONNX's own checker accepts."""
    onnx.checker.check_model(model, full_check=True)
    return model


def ties(*shape: int, frac: int = 4, reach: int = 300, seed: int = 0) -> torch.Tensor:
    """Multiples of half of the last bit of ``fixed<_,frac>``, some beyond its range: half of them ties."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-reach, reach + 1, shape, generator=generator).float() * 2.0 ** -(frac + 1)


def float_difference(net: nn.Module, *inputs: torch.Tensor) -> float:
    """The largest relative difference of a captured module and its float export."""
    graph = mase.trace(net.eval(), inputs)
    model = checked(print_graph(graph))
    feeds = {node.name: x.numpy() for node, x in zip(graph.inputs, inputs, strict=True)}
    with torch.no_grad():
        expected = net(*inputs)
    found = torch.from_numpy(run(model, feeds)[0])
    assert found.shape == expected.shape
    return float((found - expected).abs().max() / expected.abs().max().clamp_min(1e-6))


def quantized(net: nn.Module, inputs: tuple[torch.Tensor, ...], options: str) -> Graph:
    """A captured and quantized module."""
    graph = mase.trace(net.eval(), inputs)
    mase.Pipeline(f"quantize{{{options}}}").run(graph)
    return graph


def mismatches(
    graph: Graph, *inputs: torch.Tensor, pack: bool = False, unsigned: bool = False
) -> tuple[int, int]:
    """How many outputs of a QDQ export differ from the lowered module, optimised or not, and of how many."""
    model = checked(print_graph(graph, QdqQuantizers(pack, unsigned), "qdq"))
    feeds = {node.name: x.numpy() for node, x in zip(graph.inputs, inputs, strict=True)}
    with torch.no_grad():
        expected = mase.lower(graph).eval()(*inputs).numpy()
    found = [run(model, feeds, optimise)[0] for optimise in (True, False)]
    return sum(int((f != expected).sum()) for f in found), expected.size


def integer_mismatches(graph: Graph, *inputs: Tensor, reference: bool = True) -> int:
    """How many numbers of an integer export differ from the interpreter's, in all engines together."""
    model = checked(print_graph(graph, None, "integer"))
    feeds = {node.name: x.numpy() for node, x in zip(graph.inputs, inputs, strict=True)}
    expected = Interpreter(graph)(*inputs)
    expected = expected if isinstance(expected, Tensor) else next(iter(expected.values()))
    found = [run(model, feeds, optimise)[0] for optimise in (True, False)]
    if reference:
        found.append(ReferenceEvaluator(model).run(None, feeds)[0])
    assert expected.double().std() > 0
    return sum(int((np.asarray(f) != expected.numpy()).sum()) for f in found)


def legal(net: nn.Module, x: Tensor, options: str) -> Graph:
    """A captured module at level integer, calibrated on its inputs."""
    graph = mase.trace(net.eval(), (x[:2],))
    mase.Pipeline(f"quantize{{{options}}},legalize-casts").run(graph, data=Rows(x))
    return graph

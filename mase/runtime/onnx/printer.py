"""From a graph to an ONNX model."""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib.metadata import version

import onnx
from onnx import ModelProto, NodeProto, helper

from mase.ir import Graph, MaseError, Node, ScalarType, TensorType
from mase.ir.ops import core
from mase.ir.ops.quantized import QuantizedOp, role_formats
from mase.runtime.onnx import rules as _rules
from mase.runtime.onnx.builder import QONNX_DOMAIN, Builder, symbols_of
from mase.runtime.onnx.dyadic import check_dyadic
from mase.runtime.onnx.moved import leave_out_zero_points
from mase.runtime.onnx.plan import Plan, plan_of
from mase.runtime.onnx.registry import to_onnx, to_onnx_exact
from mase.runtime.onnx.site import Quantizers, Sign, Site, Value
from mase.runtime.onnx.tables import check_tables
from mase.runtime.onnx.types import value_info

__all__ = ["print_graph"]

_RULES = _rules  # imported for what they register


def print_graph(graph: Graph, quantizers: Quantizers | None = None, kind: str = "float") -> ModelProto:
    """Print a graph as an ONNX model, without looking at whether it is valid.

    Each value that is the value of a node of the graph is called after the node.

    Args:
        graph: the graph, with its weights.
        quantizers: how quantizers are written; None for a graph that has none.
        kind: what the metadata call the model.

    Raises:
        MaseError: if something has no form in ONNX; it names the node and the user's line.

    Example:
        >>> import torch, mase
        >>> graph = mase.trace(torch.nn.Linear(4, 2), (torch.randn(3, 4),))
        >>> model = print_graph(graph)
        >>> [node.op_type for node in model.graph.node], [o.name for o in model.graph.output]
        (['Gemm'], ['linear'])
    """
    if quantizers is not None:
        check_dyadic(graph)
        check_tables(graph)
    return _Printer(graph, quantizers).run(kind)


class _Printer:
    def __init__(self, graph: Graph, quantizers: Quantizers | None) -> None:
        self.graph, self.quantizers = graph, quantizers
        self.plan = plan_of(graph) if quantizers is not None and quantizers.floors else Plan()
        shapes = {n.name: n.type.shape for n in graph.inputs if isinstance(n.type, TensorType)}
        self.builder = Builder(symbols_of(shapes))
        for node in graph.nodes:
            self.builder.reserve(node.name)
        self.values: dict[Node, Value] = {}
        self.outputs: set[str] = set()

    def run(self, kind: str) -> ModelProto:
        for node in self.graph.nodes:
            if isinstance(node.op, core.Input):
                self.values[node] = node.name
            else:
                self._print(node)
        return self._model(kind)

    def _print(self, node: Node) -> None:
        if node in self.plan.absorbed:
            self.values[node] = self.values[node.inputs[0]]
            return
        signs: tuple[Sign, ...] = tuple(self.plan.sign(source) for source in node.inputs)
        inputs = tuple(self.values[n] for n in node.inputs)
        site = Site(node, node.op, self.builder, inputs, quantizers=self.quantizers, signs=signs)
        start = self.builder.mark()
        rule = to_onnx_exact.find(type(node.op)) if self.graph.level == "integer" else None
        value = to_onnx(node.op, site) if rule is None else rule(node.op, site)
        if isinstance(value, str) and self.builder.made(value, start) and not self.plan.altered(node):
            self.builder.rename(value, node.name, start)
            value = node.name
        if (use := self.plan.early.get(node)) is not None and self.quantizers is not None:
            sign = self.plan.sign(use.operand)
            at = Site(use.node, use.node.op, self.builder, (), quantizers=self.quantizers)
            value = self.quantizers.activation(at, use.role, value, use.format, sign)
        self.values[node] = value

    # -- the model --------------------------------------------------------------------------

    def _model(self, kind: str) -> ModelProto:
        outputs = [self._output(node) for node in self.graph.outputs]
        nodes = list(_needed(self.builder.nodes, [o.name for o in outputs]))
        leave_out_zero_points(nodes, self.builder.initializers, {o.name for o in outputs})
        used = {name for node in nodes for name in node.input} | {o.name for o in outputs}
        inputs = [value_info(n.name, _tensor(n)) for n in self.graph.inputs]
        known = {n.name for n in self.graph.inputs} | {o.name for o in outputs}
        made = {name for node in nodes for name in node.output}
        infos = [
            value_info(n.name, n.type)
            for n in self.graph.nodes
            if isinstance(n.type, TensorType) and n.name in made and n.name not in known
        ]
        body = helper.make_graph(
            nodes,
            self.graph.name or "graph",
            inputs,
            outputs,
            [t for name, t in self.builder.initializers.items() if name in used],
            doc_string=f"{self.graph.name}, level {self.graph.level}",
            value_info=infos,
        )
        domains = {node.domain for node in nodes}
        opsets = [helper.make_opsetid("", self.builder.opset)]
        opsets += [helper.make_opsetid(d, 2 if d == QONNX_DOMAIN else 1) for d in sorted(domains - {""})]
        model = helper.make_model(body, opset_imports=opsets, producer_name="mase")
        model.producer_version = version("mase")
        model.ir_version = min(model.ir_version, helper.find_min_ir_version_for(opsets[:1]))
        helper.set_model_props(model, self._metadata(kind))
        return model

    def _output(self, node: Node) -> onnx.ValueInfoProto:
        """What the model tells of an output; one that is no value of its own gets a copy."""
        value = self.values[node]
        if not isinstance(node.type, TensorType):
            raise MaseError.of(
                f"output {node.name!r} is {node.type}, and a model in ONNX returns tensors", source=node.loc
            )
        name = node.name
        if value != name or name in self.outputs or isinstance(node.op, core.Input):
            free = name not in self.outputs and not isinstance(node.op, core.Input)
            name = name if free else self.builder.fresh(f"{name}_output")
            made = helper.make_node("Identity", [value], [name], name=self.builder.fresh(f"{name}/Identity"))
            self.builder.nodes.append(made)
        self.outputs.add(name)
        return value_info(name, node.type)

    def _metadata(self, kind: str) -> dict[str, str]:
        formats = {
            node.name: {role: str(f) for role, f in role_formats(node.op).items() if f is not None}
            for node in self.graph.find(QuantizedOp)
        }
        return {
            "mase.version": version("mase"),
            "mase.format": kind,
            "mase.level": self.graph.level,
            "mase.formats": json.dumps(formats),
            "mase.structure": str(self.graph.structure),
            "mase.history": json.dumps(self.graph.header.history),
        }


def _tensor(node: Node) -> TensorType:
    if isinstance(node.type, ScalarType) or not isinstance(node.type, TensorType):
        raise MaseError.of(f"input {node.name!r} is {node.type}, and a model in ONNX takes tensors")
    return node.type


def _needed(nodes: Iterable[NodeProto], outputs: Iterable[str]) -> Iterable[NodeProto]:
    """The nodes that outputs depend on, in order."""
    wanted, kept = set(outputs), list[NodeProto]()
    for node in reversed(list(nodes)):
        if any(name in wanted for name in node.output):
            kept.append(node)
            wanted |= set(node.input)
    return reversed(kept)

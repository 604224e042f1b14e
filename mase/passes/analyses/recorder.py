"""Interpreters of a lowered graph: one watches every value, one goes through all batches node by node."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, fx

from mase.ir.diagnostics import MaseError
from mase.ir.graph import Graph, Node
from mase.passes.analyses.sketch import Sketch

__all__ = ["Lockstep", "Recorder"]


class _Runner(fx.Interpreter):
    """Runs a lowered graph, and says where it fails.

    Args:
        module: what lowering made of ``graph``; its nodes have the names of the graph's.
        graph: the graph, for the names and places of errors.
        batch: the number of the batch that it runs.
    """

    def __init__(self, module: fx.GraphModule, graph: Graph, batch: int) -> None:
        super().__init__(module)
        self.extra_traceback = False  # our errors say where
        self._nodes = {node.name: node for node in graph.nodes}
        self._batch = batch

    def run_node(self, n: fx.Node) -> Any:
        try:
            return super().run_node(n)
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            node = self._nodes.get(n.name)
            if node is None:
                raise
            raise self._problem(node, f"fails: {error}", "check that [data] fits the model") from error

    def _problem(self, node: Node, what: str, help: str) -> MaseError:
        message = f"{node.op.name} {what} (calibration batch {self._batch})"
        return MaseError.of(message, node=node.name, source=node.loc, help=help)


class Lockstep:
    """Runs a lowered graph on all batches together, so that a node may change by what all of them give it.

    Args:
        module: what lowering made of ``graph``.
        graph: the graph.
        batches: one value for each input of the graph, for each batch.
    """

    def __init__(self, module: fx.GraphModule, graph: Graph, batches: Iterable[Sequence[Any]]) -> None:
        self._module = module
        self._runs: list[_Runner] = []
        for inputs in batches:
            run = _Runner(module, graph, len(self._runs))
            run.args_iter = iter(inputs)
            self._runs.append(run)

    def __iter__(self) -> Iterator[fx.Node]:
        """Every node, before it is computed.

        Raises:
            MaseError: naming the node, if it fails.
        """
        for node in self._module.graph.nodes:
            yield node
            for run in self._runs:
                run.env[node] = run.run_node(node)
                for used in run.user_to_last_uses.get(node, ()):
                    del run.env[used]

    def operands(self, node: fx.Node) -> Iterator[Any]:
        """The first operand of a node in each batch."""
        first = node.args[0]
        assert isinstance(first, fx.Node)
        return (run.env[first] for run in self._runs)


class Recorder(_Runner):
    """Runs a lowered graph node by node and sketches each tensor of floats.

    Args:
        module: what lowering made of ``graph``; its nodes have the names of the graph's.
        graph: the graph, for the names and places of errors.
    """

    def __init__(self, module: fx.GraphModule, graph: Graph) -> None:
        super().__init__(module, graph, -1)
        self.sketches: dict[str, Sketch] = {}

    def take(self, inputs: Sequence[Any]) -> None:
        """Run one batch.

        Args:
            inputs: one value for each input of the graph.

        Raises:
            MaseError: naming the node, if it fails or gives NaN.
        """
        self._batch += 1
        # The values are in the order of the placeholders already.
        self.run(*inputs, enable_io_processing=False)

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        node = self._nodes.get(n.name)
        if node is not None and isinstance(value, Tensor) and value.is_floating_point():
            self._record(node, value)
        return value

    def _record(self, node: Node, value: Tensor) -> None:
        try:
            self.sketches.setdefault(node.name, Sketch()).update(value)
        except ValueError as error:
            finite = all(bool(self.env[x].isfinite().all()) for x in self._operands(node))
            help = (
                "its operands are finite: the op itself or its weights are at fault"
                if finite
                else "an operand is infinite or NaN: look at the nodes before it, and at the data"
            )
            raise self._problem(node, f"gives {error}", help) from None

    def _operands(self, node: Node) -> list[fx.Node]:
        names = {n.name for n in node.inputs}
        return [n for n, v in self.env.items() if n.name in names and isinstance(v, torch.Tensor)]

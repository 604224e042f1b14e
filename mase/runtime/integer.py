"""The integer interpreter: executes a graph at level ``integer`` in int64 and shows every value."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn

from mase.ir import Graph, MaseError, Node
from mase.ir.diagnostics import did_you_mean
from mase.ir.ops.exact import Interval
from mase.ir.ranges import ranges_of
from mase.runtime.lower import lower
from mase.runtime.lowering.structure import arranged

__all__ = ["Interpreter", "interpret"]


class Interpreter(nn.Module):
    """Runs a graph at level ``integer`` node by node, and refuses a value that its analysis excludes.

    It is a module, called as the model is, so that tasks can measure it.

    Args:
        graph: the graph, with its weights.
        keep: names of the nodes whose values are kept in `values`; None keeps all, () none.
        watch: told the name and value of every node as it is computed.

    Raises:
        MaseError: if the graph has another level, a node of ``keep`` does not exist, or a value may overflow.

    Example:
        >>> from mase.ir import parse_type
        >>> from mase.ir.ops import core, exact
        >>> graph = Graph(level="integer")
        >>> x = graph.add(core.Input(), type=parse_type("si<8>[N]"), name="x")
        >>> half = exact.Requantization(width=8, min=-128, max=127, shift=1)
        >>> graph.outputs = [graph.add(exact.Requantize(to=half), x, name="y")]
        >>> interpreter = Interpreter(graph, keep=["y"])
        >>> interpreter(torch.tensor([1, 3, 5])).tolist(), list(interpreter.values)
        ([0, 2, 2], ['y'])
    """

    def __init__(
        self,
        graph: Graph,
        keep: Collection[str] | None = (),
        watch: Callable[[str, Tensor], None] | None = None,
    ) -> None:
        super().__init__()
        if graph.level != "integer":
            raise MaseError.of(
                f"the interpreter runs graphs at level integer, and this one is {graph.level}",
                help="run legalize-casts on the quantized graph",
            )
        self._nodes = {node.name: node for node in graph.nodes}
        for name in keep or ():
            if name not in self._nodes:
                raise MaseError.of(f"no node {name!r} in the graph", help=did_you_mean(name, self._nodes))
        found = ranges_of(graph)
        if found.faults:
            raise MaseError(found.faults)
        self._intervals = found.intervals
        self._keep, self._watch = keep, watch
        self.module = lower(graph).eval()
        self._graph = graph
        self._placeholders = [n for n in self.module.graph.nodes if n.op == "placeholder"]
        self._walker = _Walker(self.module, self)
        self.values: dict[str, Tensor] = {}
        """What the last call computed, by node name: int64 codes, floats at the boundaries."""

    @torch.no_grad()
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The model's result for its arguments, positional or by keyword; or for the graph's inputs by name.

        Raises:
            MaseError: naming the node, if a value is not what the analysis proved, or an input is NaN.
        """
        self.values = {}
        names = [str(n.target) for n in self._placeholders]
        if not args and set(kwargs) == {node.name for node in self._graph.inputs}:
            kwargs = arranged(self._graph, {name: _carrier(x) for name, x in kwargs.items()})
        given = dict(zip(names, args, strict=False)) | kwargs
        missing = [n for n in names if n not in given]
        if missing or len(args) + len(kwargs) != len(names):
            raise MaseError.of(f"expected the inputs {', '.join(names)}, found {len(args)} of them")
        return self._walker.run(*(_carrier(given[n]) for n in names), enable_io_processing=False)

    def see(self, name: str, value: Any) -> None:
        """Check the value of a node, and keep it if it was asked for."""
        node = self._nodes.get(name)
        if node is None or not isinstance(value, Tensor):
            return
        if name in self._intervals and not value.is_floating_point() and value.numel():
            _check(node, value, self._intervals[name])
        if self._watch is not None:
            self._watch(name, value)
        if self._keep is None or name in self._keep:
            self.values[name] = value


def _carrier(value: Any) -> Any:
    """Codes in int64, whatever integer type they come in; anything else as it is."""
    narrow = isinstance(value, Tensor) and not (value.is_floating_point() or value.dtype is torch.bool)
    return value.long() if narrow else value


def _check(node: Node, value: Tensor, proven: Interval) -> None:
    low, high = (int(end) for end in value.aminmax())
    if not Interval(low, high).within(proven):
        raise MaseError.of(
            f"{node.op.name}: a value in [{low}, {high}] lies outside of {proven}, which holds all it may be",
            node=node.name,
            source=node.loc,
            help="an input outside of its type, or a defect of mase",
        )


class _Walker(fx.Interpreter):
    def __init__(self, module: fx.GraphModule, owner: Interpreter) -> None:
        super().__init__(module)
        self.extra_traceback = False  # our errors say where
        self._see = owner.see

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        self._see(n.name, value)
        return value


def interpret(
    graph: Graph, *args: Any, keep: Collection[str] | None = None, **kwargs: Any
) -> Mapping[str, Tensor]:
    """The value of every node of a graph at level ``integer``, in exact integers.

    Args:
        graph: the graph.
        args: the model's arguments.
        keep: names of the nodes to keep; None keeps all.
        kwargs: arguments by keyword.

    Returns:
        Values by node name: int64 codes, floats at the boundaries.

    Raises:
        MaseError: as `Interpreter`.

    Example:
        >>> from mase.ir import parse_type
        >>> from mase.ir.ops import core, exact
        >>> graph = Graph(level="integer")
        >>> x = graph.add(core.Input(), type=parse_type("si<8>[N]"), name="x")
        >>> graph.outputs = [graph.add(exact.Mul(width=16), x, x, name="y")]
        >>> interpret(graph, torch.tensor([-128, 5]))["y"].tolist()
        [16384, 25]
    """
    interpreter = Interpreter(graph, keep)
    interpreter(*args, **kwargs)
    return interpreter.values

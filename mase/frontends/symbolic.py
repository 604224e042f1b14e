"""The tracer of ``torch.fx``: follows a model's own fx rules, such as functions under ``fx.wrap``."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import fx, nn
from torch._subclasses import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext

from mase.frontends.arguments import Arguments
from mase.frontends.dynamic import Dynamic
from mase.frontends.importer import Importer
from mase.frontends.internals import shares_storage
from mase.frontends.layout import flatten
from mase.frontends.leaves import Leaf, module_op
from mase.frontends.names import call_target
from mase.frontends.session import ShapeRule
from mase.frontends.weights import add_constant
from mase.ir.graph import Node
from mase.ir.ops import core

__all__ = ["Symbolic", "trace_symbolic"]

_OPERATOR: Any = operator
_PURE_TWIN = {
    _OPERATOR.iadd: _OPERATOR.add,
    _OPERATOR.isub: _OPERATOR.sub,
    _OPERATOR.imul: _OPERATOR.mul,
}


class _Flat(nn.Module):
    """The model as a function from the sequence of its tensors to a tuple."""

    def __init__(self, model: nn.Module, arguments: Arguments) -> None:
        super().__init__()
        self.model = model
        self.arguments = arguments
        self.layout: Any = None

    def forward(self, *tensors: Any) -> tuple[Any, ...]:
        each = [tensors[i] for i in range(len(self.arguments.tensors))]  # fx gives a proxy, not a tuple
        args, kwargs = self.arguments.rebuild(each)
        leaves, self.layout = flatten(self.model(*args, **kwargs))
        return tuple(leaves)


class _Tracer(fx.Tracer):
    """Keeps whole what ``fx.Tracer`` does, and the leaves of the capture."""

    record_stack_traces = True

    def __init__(self, leaves: Mapping[str, Leaf]) -> None:
        super().__init__()
        self._leaves = {id(leaf.module) for leaf in leaves.values()}

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return id(m) in self._leaves or super().is_leaf_module(m, module_qualified_name)


class _Shapes(fx.Interpreter):
    """Runs a traced graph and notes what each node gives; some modules' results are known by example."""

    def __init__(self, module: fx.GraphModule, rules: Mapping[str, ShapeRule]) -> None:
        super().__init__(module)
        self._rules = rules

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        rule = self._rules.get(str(target).removeprefix("model."))
        return rule(*args, **kwargs) if rule else super().call_module(target, args, kwargs)

    def run_node(self, n: fx.Node) -> Any:
        n.meta["val"] = super().run_node(n)
        return n.meta["val"]


class _Runner(nn.Module):
    """Lets ``functional_call`` put fake weights in the place of the real ones, which stay as they are."""

    def __init__(self, module: fx.GraphModule, rules: Mapping[str, ShapeRule]) -> None:
        super().__init__()
        self.module = module
        self.rules = rules

    def forward(self, *inputs: Any) -> Any:
        return _Shapes(self.module, self.rules).run(*inputs)


class Symbolic:
    """What ``torch.fx`` saw of a model.

    Args:
        root: the model as a function of its tensors.
        graph: the traced graph.
        fakes: the fake tensors that stood for the inputs.
        leaves: the leaves of the capture by path.
    """

    prefix = "model"

    def __init__(self, root: _Flat, graph: fx.Graph, fakes: list[Any], leaves: Mapping[str, Leaf]) -> None:
        self._root = root
        self._graph = graph
        self._fakes = fakes
        self._leaves = leaves
        self._env: dict[fx.Node, Any] = {}

    def inputs(self) -> list[Any]:
        """The fake tensors that stood for the inputs."""
        return self._fakes

    def build(self, importer: Importer, arguments: Arguments) -> None:
        """Add everything to the importer's graph."""
        for node in self._graph.nodes:
            match node.op:
                case "placeholder":
                    self._env[node] = self._inputs(importer, arguments)
                case "get_attr":
                    self._env[node] = self._weight(importer, str(node.target))
                case "output":
                    flat: Any = node.args[0]
                    importer.outputs([self._value(v) for v in flat], self._root.layout)
                case _:
                    self._env[node] = self._call(importer, node)

    def _inputs(self, importer: Importer, arguments: Arguments) -> list[Node]:
        return [
            importer.graph.add(core.Input(path=a.path), type=importer.dims.type_of(fake), name=a.name)
            for a, fake in zip(arguments.tensors, self._fakes, strict=True)
        ]

    def _weight(self, importer: Importer, target: str) -> Node:
        key = target.removeprefix("model.")
        if key not in importer.graph.state:
            key = add_constant(importer.graph, key.strip("_"), operator.attrgetter(target)(self._root))
        return importer.parameter(key)

    def _call(self, importer: Importer, node: fx.Node) -> Any:
        args, kwargs = self._value(node.args), self._value(node.kwargs)
        value = node.meta["val"]
        if node.target is operator.getitem and isinstance(args[0], list):
            return args[0][args[1]]
        if isinstance(value, bool | int | float | str | torch.dtype | torch.device):
            return value
        if node.op == "call_module":
            return self._module(importer, node, args, kwargs)
        if node.target is operator.getitem and _is_element(node):
            return importer.element(args[0], args[1])
        target: Any = _PURE_TWIN[node.target] if _overwrites_unseen(node) else node.target
        made = importer.call(node, *call_target(target, args, kwargs), value)
        if kwargs.get("inplace") and made.op.name != "torch.call":
            self._overwrite(node, made)
        return made

    def _module(self, importer: Importer, node: fx.Node, args: Any, kwargs: Any) -> Node:
        path = str(node.target).removeprefix("model.")
        module = self._root.get_submodule(str(node.target))
        leaf = self._leaves.get(path) or Leaf(module, module_op(module))
        made = importer.module(node, path, leaf, args, kwargs, importer.dims.type_of(node.meta["val"]))
        if getattr(module, "inplace", False) and made.op.name != "torch.module":
            self._overwrite(node, made)
        return made

    def _overwrite(self, node: fx.Node, made: Node) -> None:
        """An in-place call: whoever takes its operand later takes its result."""
        operand = node.all_input_nodes[0]
        self._env[operand] = made

    def _value(self, arg: Any) -> Any:
        return fx.map_arg(arg, lambda n: self._env[n])


def _is_element(node: fx.Node) -> bool:
    """Whether a call of ``getitem`` takes a tuple apart, and does not slice a tensor."""
    source: Any = node.args[0]
    return isinstance(source.meta["val"], tuple | list) and isinstance(node.args[1], int)


def _overwrites_unseen(node: fx.Node) -> bool:
    """Whether ``x += y`` overwrites a tensor of its own that nothing looks at afterwards."""
    if node.target not in _PURE_TWIN:
        return False
    operand: Any = node.args[0]
    if not isinstance(operand, fx.Node) or not isinstance(operand.meta["val"], torch.Tensor):
        return True
    sharing = [n for n in node.graph.nodes if shares_storage(n, operand) and n is not node]
    alone = sharing == [operand] and operand.op != "get_attr" and list(operand.users) == [node]
    return alone and _type(operand) == _type(node)


def _type(node: fx.Node) -> tuple[Any, ...]:
    return node.meta["val"].dtype, tuple(node.meta["val"].shape)


def _fake_inputs(mode: FakeTensorMode, arguments: Arguments, dynamic: Dynamic) -> list[Any]:
    fakes: list[Any] = []
    for argument, dims in zip(arguments.tensors, dynamic.specs(), strict=True):
        rank = argument.value.dim()
        sizes = [DimDynamic.DYNAMIC if d in (dims or {}) else DimDynamic.STATIC for d in range(rank)]
        context = cast(Any, StatelessSymbolicContext)(dynamic_sizes=sizes)
        fakes.append(mode.from_tensor(argument.value, symbolic_context=context))
    return fakes


def trace_symbolic(
    model: nn.Module,
    arguments: Arguments,
    dynamic: Dynamic,
    leaves: Mapping[str, Leaf],
    rules: Mapping[str, ShapeRule],
) -> Symbolic:
    """Trace ``model``, in whatever mode it is in, and run the trace on fake tensors for its types."""
    root = _Flat(model, arguments)
    graph = _Tracer(leaves).trace(root)
    mode = FakeTensorMode(shape_env=ShapeEnv(), allow_non_fake_inputs=True)
    fakes = _fake_inputs(mode, arguments, dynamic)
    runner = _Runner(fx.GraphModule(root, graph), rules)
    weights: dict[str, torch.Tensor] = {
        k: mode.from_tensor(v) for k, v in (*runner.named_parameters(), *runner.named_buffers())
    }
    with mode, torch.no_grad():
        torch.func.functional_call(runner, weights, tuple(fakes))
    graph.eliminate_dead_code()
    return Symbolic(root, graph, fakes, leaves)

"""Lowering: from the MASE IR to a real `torch.fx.GraphModule` that runs and trains."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import fx, nn

from mase.ir import Graph, Hole, MaseError, Node, TensorType
from mase.ir.ops import core
from mase.ir.ops.quantized import QuantizedOp
from mase.runtime.lowering import Function, Source, to_module
from mase.runtime.lowering.call import arguments_of
from mase.runtime.lowering.structure import add_inputs, add_output
from mase.runtime.lowering.tree import ModuleTree, keys_of, tensors_of

__all__ = ["lower", "write_back"]


def lower(graph: Graph, *, source_model: nn.Module | None = None) -> fx.GraphModule:
    """Make a module of a graph.

    The module owns copies of the graph's weights under the graph's own keys, so its ``state_dict``
    is the model's; `write_back` brings trained values home. It is called with the arguments of the
    model, positional or by keyword, and returns the same structure. Each fx node has the name of
    its MASE node.

    Args:
        graph: a graph at level ``float`` or ``quantized``, with its weights.
        source_model: the user's model; needed only where the graph holds opaque modules
            (``torch.module``).

    Raises:
        MaseError: if an op has no lowering, a name in the graph is not known, an opaque module is
            not to be found, or a quantized op would take weights that are not finite.

    Example:
        >>> import torch
        >>> from mase.ir import Graph, parse_type
        >>> from mase.ir.ops import core, nn
        >>> g = Graph()
        >>> g.state["fc.weight"] = torch.eye(2)
        >>> x = g.add(core.Input(), type=parse_type("f32[N,2]"), name="x")
        >>> g.outputs = [g.add(nn.Linear(), x, params={"weight": "fc.weight"}, scope="fc", name="fc")]
        >>> module = lower(g)
        >>> module(x=torch.tensor([[1.0, 2.0]]))
        tensor([[1., 2.]], grad_fn=...)
        >>> list(module.state_dict())
        ['fc.weight']
    """
    return _Lowering(graph, source_model).run()


def write_back(module: nn.Module, graph: Graph) -> None:
    """Copy the parameters and buffers of a lowered module into the graph's state.

    Args:
        module: what `lower` made of ``graph``, trained since.
        graph: where the values go.

    Raises:
        MaseError: if the module's names and the state's differ.
    """
    tensors = tensors_of(module)
    known = set(keys_of(graph.state))
    if known != set(tensors):
        missing, extra = sorted(known - set(tensors)), sorted(set(tensors) - known)
        raise MaseError.of(
            f"the module's tensors are not the graph's: missing {missing or 'none'}, extra {extra or 'none'}",
            help="write back into the graph that the module was lowered from",
        )
    for key in graph.state:
        graph.state[key] = tensors[key].detach().to("cpu", copy=True)


class _Lowering:
    def __init__(self, graph: Graph, model: nn.Module | None) -> None:
        self.graph, self.model = graph, model
        self.target = fx.Graph()
        self.values: dict[Node, fx.Node] = {}
        self.device: fx.Node | None = None

    def run(self) -> fx.GraphModule:
        nodes = list(self.graph.nodes)
        for node in nodes:
            _check_finite(node)
        self.tree = ModuleTree(self.graph.state, nodes)
        for node in nodes:  # so that no helper takes the name of a node
            cast(Any, self.target)._graph_namespace.create_name(node.name, None)
        add_inputs(self.graph, self.target, self._name)
        for node in nodes:
            if not isinstance(node.op, core.Input):
                self._name(node, self._value(node))
        add_output(self.graph, self.target, self.values)
        self.target.lint()
        module = self.tree.root
        module.graph = self.target
        module.meta["level"] = self.graph.level
        return module

    def _name(self, node: Node, value: fx.Node) -> None:
        """Give an fx node the name of its MASE node, which fx would change if it were a builtin's."""
        if node.name != "self":  # what generated code calls the module
            value.name = node.name
        value.meta["mase"] = node.name
        if node.loc:
            value.stack_trace = f'File "{node.loc.file}", line {node.loc.line}'
        self.values[node] = value

    def _value(self, node: Node) -> fx.Node:
        if isinstance(node.op, core.Parameter):
            return self.target.get_attr(node.params["value"])
        with torch.device("meta"):  # values come from the state
            lowered = to_module(node.op, Source(node, self.model))
        if isinstance(lowered, Function):
            return self._call(node, lowered)
        path, borrows = self.tree.place(node, lowered)
        args, kwargs = arguments_of(node) or (None, {})
        args, kwargs = self._operands(node, args), self._operands(node, kwargs)
        if borrows:
            kwargs |= {role: self.target.get_attr(key) for role, key in node.params.items()}
        return self.target.call_module(path, args, kwargs)

    def _call(self, node: Node, function: Function) -> fx.Node:
        args, kwargs = self._operands(node, function.args), self._operands(node, dict(function.kwargs))
        if function.on_device and (device := self._device()) is not None:
            kwargs["device"] = device
        if isinstance(function.target, str):
            return self.target.call_method(function.target, args, kwargs)
        return self.target.call_function(function.target, args, kwargs)

    def _operands(self, node: Node, template: Any) -> Any:
        """Fill a template's holes with the values of the node's operands; None takes all in order."""
        inputs = [self.values[n] for n in node.inputs]
        if template is None:
            return tuple(inputs)
        return _fill(template, inputs)

    def _device(self) -> fx.Node | None:
        """Where the first tensor that the caller gives lies, so that the module moves as one."""
        if self.device is None:
            tensors = [n for n in self.graph.inputs if isinstance(n.type, TensorType)]
            if not tensors:
                return None
            self.device = self.target.call_function(getattr, (self.values[tensors[0]], "device"))
        return self.device


def _fill(template: Any, inputs: list[fx.Node]) -> Any:
    if isinstance(template, Hole):
        return inputs[template.index]
    if isinstance(template, tuple | list):
        sequence = cast("list[Any]", template)
        return type(sequence)(_fill(v, inputs) for v in sequence)
    if isinstance(template, dict):
        return {k: _fill(v, inputs) for k, v in cast("dict[str, Any]", template).items()}
    if isinstance(template, slice):
        span = cast("slice[Any, Any, Any]", template)
        return slice(*(_fill(v, inputs) for v in (span.start, span.stop, span.step)))
    return template


def _check_finite(node: Node) -> None:
    if not isinstance(node.op, QuantizedOp):
        return
    for key in node.params.values():
        tensor = node.graph.state[key]
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise MaseError.of(
                f"weight {key!r} holds values that are not finite, so it cannot be quantized",
                node=node.name,
                source=node.loc,
                help="train or load it again; clip it with a pass of your own",
            )

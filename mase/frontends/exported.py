"""The tracer that ``torch.export`` drives, with leaf modules as opaque operators (see `Session`)."""

from __future__ import annotations

import logging
import operator
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import fx, nn
from torch.export.graph_signature import InputKind

from mase.frontends.arguments import Arguments
from mase.frontends.dynamic import Dynamic
from mase.frontends.functions import NAMES
from mase.frontends.importer import Importer
from mase.frontends.inplace import functionalize
from mase.frontends.internals import mutates
from mase.frontends.layout import flatten, parts, paths, rebuild
from mase.frontends.leaves import Leaf
from mase.frontends.names import call_target
from mase.frontends.regions import inline_regions
from mase.frontends.session import MARKER, Session, ShapeRule
from mase.frontends.weights import add_constant
from mase.ir.graph import Graph, Node
from mase.ir.ops import core
from mase.ir.template import Hole
from mase.ir.types import TupleType, Type

__all__ = ["Exported", "trace_exported"]

aten: Any = torch.ops.aten
_COPIES = (aten.lift_fresh_copy.default, aten.detach_.default, aten.detach.default)
_CHECKS = (
    aten._assert_tensor_metadata.default,
    aten._assert_scalar.default,
    aten._assert_async.msg,
    aten.sym_constrain_range.default,
    aten.sym_constrain_range_for_size.default,
)


class _Seen:
    """What the trace is to leave behind; ``torch.export`` undoes changes to a module's attributes."""

    layout: Any = None


class _ModelFailedError(Exception):
    """Stands for what the model raised; torch would attach the traced graph to that and print it."""

    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> None:
        if name != "partial_fx_graph":
            super().__setattr__(name, value)


class _Flat(nn.Module):
    """The model as a function from its tensors, in order, to a tuple of tensors."""

    def __init__(self, model: nn.Module, arguments: Arguments) -> None:
        super().__init__()
        self.model = model
        self.arguments = arguments
        self.seen = _Seen()

    def forward(self, *tensors: torch.Tensor) -> tuple[Any, ...]:
        args, kwargs = self.arguments.rebuild(tensors)
        try:
            leaves, self.seen.layout = flatten(self.model(*args, **kwargs))
        except Exception as error:
            raise _ModelFailedError from error
        return tuple(leaves)


class Exported:
    """What ``torch.export`` saw of a model.

    Args:
        program: the exported program.
        session: the sites of its leaves.
        layout: how the model's outputs are arranged.
    """

    prefix = "model"

    def __init__(self, program: torch.export.ExportedProgram, session: Session, layout: Any) -> None:
        self._program = program
        self._module = program.graph_module
        self._session = session
        self._layout = layout
        inline_regions(self._module)
        functionalize(self._module.graph, session)
        _drop_dead(self._module.graph)

    def inputs(self) -> list[Any]:
        """The fake tensors that stood for the inputs."""
        kinds = {s.arg.name: s.kind for s in self._program.graph_signature.input_specs}
        nodes = [n for n in self._module.graph.nodes if n.op == "placeholder"]
        return [n.meta["val"] for n in nodes if kinds[n.name] is InputKind.USER_INPUT]

    def build(self, importer: Importer, arguments: Arguments) -> None:
        """Add everything to the importer's graph."""
        _Builder(self._program, self._session, importer).run(arguments, self._layout)


class _Builder:
    def __init__(self, program: torch.export.ExportedProgram, session: Session, importer: Importer) -> None:
        self._program = program
        self._session = session
        self._importer = importer
        self._graph: Graph = importer.graph
        self._env: dict[fx.Node, Any] = {}
        self._elements: dict[tuple[Node, tuple[int, ...]], Node] = {}
        self._keys = {s.arg.name: (s.kind, s.target) for s in program.graph_signature.input_specs if s.target}

    def run(self, arguments: Arguments, layout: Any) -> None:
        given = iter(arguments.tensors)
        for node in self._program.graph.nodes:
            match node.op:
                case "placeholder" if node.name not in self._keys:
                    argument = next(given)
                    self._env[node] = self._graph.add(
                        core.Input(path=argument.path),
                        type=self._importer.dims.type_of(node.meta["val"]),
                        name=argument.name,
                    )
                case "call_function":
                    self._env[node] = self._call(node)
                case "output":
                    flat: Any = node.args[0]
                    self._importer.outputs([self._value(v) for v in flat], layout)
                case _:
                    pass

    def _call(self, node: fx.Node) -> Any:
        if node.target is MARKER:
            return self._site(node)
        args: Any = [self._value(a) for a in node.args]
        kwargs: Any = {k: self._value(v) for k, v in node.kwargs.items()}
        if node.target is operator.getitem:
            found: list[Any] | Node = args[0]
            return found[args[1]] if isinstance(found, list) else self._importer.element(found, args[1])
        value = node.meta.get("val")
        if isinstance(value, bool | int | float):
            return value  # a size that the trace found to be constant
        if node.target in _COPIES and self._is_constant(args[0]) and not _is_overwritten(node):
            return args[0]
        return self._importer.call(node, *call_target(node.target, args, kwargs), value)

    def _is_constant(self, value: Any) -> bool:
        """Whether a value is a tensor that the model's code wrote down, such as ``torch.tensor([1, 2])``."""
        if not (isinstance(value, Node) and isinstance(value.op, core.Parameter)):
            return False
        return self._graph.state.entry(value.params["value"]).kind == "constant"

    def _site(self, node: fx.Node) -> list[Any]:
        """The tensors that a leaf gives, in order."""
        index, tensors, sizes = cast(Any, [self._value(a) for a in node.args])
        site = self._session.site(index)
        args, kwargs = site.bind(tensors, sizes)
        if site.leaf is None:
            node.name = NAMES[site.path]
            value = rebuild(site.layout, node.meta["val"])
            made = self._importer.call(node, site.path, args, kwargs, value)
        else:
            seen = self._type(node, site.layout)
            made = self._importer.module(node, site.path, site.leaf, args, kwargs, seen)
        used = [user.args[1] for user in node.users]
        return [self._element(made, path) if i in used else None for i, path in paths(site.layout)]

    def _type(self, node: fx.Node, layout: Any) -> Type:
        """The type of a leaf's result, whose tensors the trace holds in one list."""
        inner = parts(layout)
        if inner is not None:
            return TupleType(tuple(self._type(node, part) for part in inner))
        return self._importer.dims.type_of(
            node.meta["val"][layout.index] if isinstance(layout, Hole) else layout
        )

    def _element(self, source: Node, path: tuple[int, ...]) -> Node:
        if not path:
            return source
        if (source, path) not in self._elements:
            outer = self._element(source, path[:-1])
            self._elements[source, path] = self._importer.element(outer, path[-1])
        return self._elements[source, path]

    def _value(self, arg: Any) -> Any:
        """An argument of a traced call with nodes of the graph in place of the traced ones."""
        return fx.map_arg(arg, self._node)

    def _node(self, node: fx.Node) -> Any:
        """What a traced value became; a weight becomes a node when it is first taken."""
        if node not in self._env:
            self._env[node] = self._weight(node)
        return self._env[node]

    def _weight(self, node: fx.Node) -> Node:
        kind, target = self._keys[node.name]
        key = target.removeprefix("model.")
        if kind is InputKind.CONSTANT_TENSOR or key not in self._graph.state:
            tensor: Any = self._program.constants[target]
            key = add_constant(self._graph, key.replace("lifted_tensor", "constant"), tensor)
        return self._importer.parameter(key)


def trace_exported(
    model: nn.Module,
    arguments: Arguments,
    dynamic: Dynamic,
    leaves: Mapping[str, Leaf],
    rules: Mapping[str, ShapeRule],
) -> Exported:
    """Trace ``model`` on its example arguments, in whatever mode it is in."""
    session = Session(leaves, rules)
    flat = _Flat(model, arguments)
    tensors = tuple(a.value for a in arguments.tensors)
    try:
        with session.active(), _quiet():
            program = torch.export.export(flat, tensors, dynamic_shapes=(dynamic.specs(),), strict=False)
    except _ModelFailedError as failure:
        raise failure.__cause__ or failure from None
    return Exported(program, session, flat.seen.layout)


@contextmanager
def _quiet() -> Generator[None]:
    """Keep torch from logging a failed attempt: what failed is told in our own words."""
    logger = logging.getLogger("torch")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():  # about the list of its weights that a recurrent net keeps
            warnings.filterwarnings("ignore", "The tensor attributes? .*_flat_weights")
            yield
    finally:
        logger.setLevel(level)


def _is_overwritten(node: fx.Node) -> bool:
    """Whether a later call still writes into this tensor in place."""
    return any(user.target not in _COPIES and mutates(user.target) for user in node.users)


def _drop_dead(graph: fx.Graph) -> None:
    """Erase the trace's assertions, which would forbid ``.half()``, and what nobody needs any more."""
    for node in reversed(list(graph.nodes)):
        droppable = node.op == "get_attr" or (node.op == "call_function" and _is_droppable(node.target))
        if droppable and not node.users:
            graph.erase_node(node)


def _is_droppable(target: Any) -> bool:
    if target in _CHECKS:
        return True
    return target is not MARKER and not mutates(target)

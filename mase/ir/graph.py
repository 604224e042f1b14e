"""The graph: an ordered list of nodes in SSA form, with the verbs that torch.fx users know."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from mase.ir.diagnostics import Location, MaseError, did_you_mean
from mase.ir.node import Node
from mase.ir.op import Level, Op
from mase.ir.state import State
from mase.ir.template import Hole, Template
from mase.ir.types import Type

if TYPE_CHECKING:
    import networkx

__all__ = ["Graph", "Header", "Node"]

OpT = TypeVar("OpT", bound=Op)


@dataclass
class Header:
    """What a graph.toml holds beside the graph: the recipe, options and history, kept verbatim."""

    model: dict[str, Any] = field(default_factory=dict[str, Any])
    data: dict[str, Any] = field(default_factory=dict[str, Any])
    pipeline: dict[str, Any] = field(default_factory=dict[str, Any])
    passes: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    history: list[str] = field(default_factory=list[str])
    extra: dict[str, Any] = field(default_factory=dict[str, Any])


class Graph:
    """A model: nodes, weights and where they came from.

    Example:
        >>> import mase.ir
        >>> from mase.ir.ops import core, nn
        >>> g = Graph("tiny")
        >>> x = g.add(core.Input(), type=mase.ir.parse_type("f32[N,4]"), name="x")
        >>> y = g.add(nn.Relu(), x, name="y")
        >>> g.outputs = [y]
        >>> y
        %y: f32[N,4] = nn.relu(%x)
        >>> x.users
        (%y: f32[N,4] = nn.relu(%x),)
    """

    def __init__(self, name: str = "graph", level: Level = "float") -> None:
        self.name = name
        self.level: Level = level
        self.version = 0
        self.state = State(self.touch)
        self.header = Header()
        self._by_name: dict[str, Node] = {}
        self._suffixes: dict[str, int] = {}  # of a name, the first that may be free: those below are taken
        # A ring of links in which None stands between the last node and the first.
        self._after: dict[Node | None, Node | None] = {None: None}
        self._before: dict[Node | None, Node | None] = {None: None}
        self._point: Node | None = None  # insert before it; None: at the end
        self._weight_users: dict[str, dict[Node, None]] = {}
        self._outputs: list[Node] = []
        self._structure: Template | None = None

    def touch(self) -> None:
        """Raise the version, so that analyses of the old graph are dropped."""
        self.version += 1

    # -- reading ----------------------------------------------------------------------------

    @property
    def nodes(self) -> Iterator[Node]:
        """The nodes in execution order; the graph may be changed while iterating.

        Nodes added meanwhile are not visited, nor are nodes erased before their turn.
        """
        order: list[Node] = []
        node = self._after[None]
        while node is not None:
            order.append(node)
            node = self._after[node]
        return (n for n in order if self._by_name.get(n.name) is n)

    def __len__(self) -> int:
        return len(self._by_name)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __getitem__(self, name: str) -> Node:
        """The node called ``name``.

        Raises:
            MaseError: if there is none, with a remedy.
        """
        if name not in self._by_name:
            raise MaseError.of(f"no node {name!r} in the graph", help=did_you_mean(name, self._by_name))
        return self._by_name[name]

    @property
    def inputs(self) -> list[Node]:
        """The ``core.input`` nodes in order."""
        return [n for n in self.nodes if n.op.name == "core.input"]

    @property
    def outputs(self) -> list[Node]:
        """The nodes whose values the graph returns, by hole number of `structure`."""
        return list(self._outputs)

    @outputs.setter
    def outputs(self, nodes: Sequence[Node]) -> None:
        if self._structure is not None and len(self._structure.holes) != len(nodes):
            self._structure = None
        self._outputs = list(nodes)
        self.touch()

    @property
    def structure(self) -> Template:
        """How the outputs are arranged; a lone tensor is ``%0``, several are a tuple unless said."""
        if self._structure is not None:
            return self._structure
        return self.default_structure(len(self._outputs))

    @staticmethod
    def default_structure(outputs: int) -> Template:
        """The arrangement of so many outputs where none is given."""
        holes = tuple(Hole(i) for i in range(outputs))
        return Template.of(holes[0] if outputs == 1 else holes)

    @structure.setter
    def structure(self, template: Template) -> None:
        self._structure = template
        self.touch()

    def find(self, *ops: type[OpT]) -> list[Node]:
        """The nodes whose op is an instance of one of ``ops``, in order."""
        return [n for n in self.nodes if isinstance(n.op, ops)]

    def users_of(self, key: str) -> list[Node]:
        """The nodes that use a weight, under whichever of its names.

        Example:
            >>> import torch, mase
            >>> graph = mase.trace(torch.nn.Linear(4, 2), (torch.zeros(3, 4),))
            >>> [node.name for node in graph.users_of("weight")]
            ['linear']
        """
        key = self.state.resolve(key)
        names = [key, *(alias for alias, target in self.state.aliases.items() if target == key)]
        return list({node: None for name in names for node in self._weight_users.get(name, ())})

    # -- changing ---------------------------------------------------------------------------

    def add(
        self,
        op: Op,
        *inputs: Node,
        params: Mapping[str, str] | None = None,
        type: Type | None = None,
        name: str | None = None,
        scope: str = "",
        loc: Location | None = None,
        like: Node | None = None,
    ) -> Node:
        """Insert a node at the insertion point (the end, unless inside `inserting_before`).

        Args:
            op: the operation.
            inputs: its data operands.
            params: state keys by role.
            type: the type of the value; inferred when absent.
            name: a wish; made unique.
            scope: the module path in the user's model.
            loc: the user's file and line.
            like: a node whose scope and line the new one takes over.

        Raises:
            mase.ir.op.OpError: if the type is to be inferred and the operands do not fit.
        """
        roles = dict(params or {})
        if type is None:
            known = {role: self.state.entry(key).type for role, key in roles.items()}
            type = op.infer(*(n.type for n in inputs), **known)
        node = Node(self, self.fresh_name(name or op.name.rpartition(".")[2]), op, type)
        node.scope, node.loc = (scope, loc) if like is None else (like.scope, like.loc)
        node.params = roles
        node.inputs = inputs
        self.append(node)
        return node

    def append(self, node: Node) -> None:
        """Insert a made node, whose name must be free, at the insertion point."""
        point, before = self._point, self._before[self._point]
        self._after[before], self._before[node] = node, before
        self._after[node], self._before[point] = point, node
        self._by_name[node.name] = node
        self.touch()

    def fresh_name(self, wish: str) -> str:
        """``wish`` as an identifier that no node has yet."""
        base = re.sub(r"\W", "_", wish)
        base = base if base and not base[0].isdigit() else f"_{base}"
        if base not in self._by_name:
            return base
        suffix = self._suffixes.get(base, 1)
        while f"{base}_{suffix}" in self._by_name:
            suffix += 1
        self._suffixes[base] = suffix
        return f"{base}_{suffix}"

    def erase(self, node: Node) -> None:
        """Remove a node that nothing uses.

        Raises:
            ValueError: if it has users or is an output.
        """
        if node.users or any(n is node for n in self._outputs):
            users = [n.name for n in node.users] or ["the graph's outputs"]
            raise ValueError(f"cannot erase {node.name!r}: used by {', '.join(users)}")
        node.inputs = ()
        self.note_weights(node, node.params, {})
        self._unlink(node)

    def note_weights(self, node: Node, before: Mapping[str, str], after: Mapping[str, str]) -> None:
        """Know that a node uses other weights; its ``params`` tell it when they are assigned."""
        for key in before.values():
            self._weight_users.get(key, {}).pop(node, None)
        for key in after.values():
            self._weight_users.setdefault(key, {})[node] = None

    @contextmanager
    def inserting_before(self, node: Node) -> Generator[None]:
        """Let `add` insert before ``node``."""
        saved, self._point = self._point, node
        try:
            yield
        finally:
            self._point = saved

    @contextmanager
    def inserting_after(self, node: Node) -> Generator[None]:
        """Let `add` insert after ``node``, in the order of the calls."""
        saved, self._point = self._point, self._after[node]
        try:
            yield
        finally:
            self._point = saved

    def copy(self) -> Graph:
        """An independent graph; ops, annotations and tensors are shared, for they do not change."""
        from copy import deepcopy

        new = Graph(self.name, self.level)
        new.state = self.state.copy(new.touch)
        new.header = deepcopy(self.header)
        for node in self.nodes:
            made = new.add(
                node.op,
                *(new[n.name] for n in node.inputs),
                params=node.params,
                type=node.type,
                name=node.name,
                like=node,
            )
            made.meta.update(node.meta)
        new.outputs = [new[n.name] for n in self._outputs]
        new.structure = self.structure
        return new

    def become(self, other: Graph) -> None:
        """Take over all that ``other`` holds, nodes included; ``other`` is empty afterwards.

        Example:
            >>> import mase.ir
            >>> from mase.ir.ops import core
            >>> a, b = Graph("a"), Graph("b")
            >>> x = b.add(core.Input(), type=mase.ir.parse_type("f32[4]"), name="x")
            >>> a.become(b)
            >>> a.name, a["x"] is x, x.graph is a, len(b)
            ('b', True, True, 0)
        """
        version = max(self.version, other.version) + 1
        empty = Graph(other.name, other.level)
        self.__dict__, other.__dict__ = other.__dict__, empty.__dict__
        self.version = version
        self.state = self.state.copy(self.touch)
        for node in self.nodes:
            node.graph = self

    def to_networkx(self) -> networkx.DiGraph[str]:
        """The dataflow graph by node names; each vertex holds its `Node` as ``node``.

        An edge's ``operands`` are the positions at which the user takes the value.
        """
        import networkx

        result: networkx.DiGraph[str] = networkx.DiGraph()
        for node in self.nodes:
            result.add_node(node.name, node=node)
        for node in self.nodes:
            for source in dict.fromkeys(node.inputs):
                places = [i for i, n in enumerate(node.inputs) if n is source]
                result.add_edge(source.name, node.name, operands=places)
        return result

    # -- equality and links -----------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        """Equal in every field that graph.toml holds; the weights' values are not compared."""
        if not isinstance(other, Graph):
            return NotImplemented
        from mase.ir.diff import diff

        return not diff(self, other)

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"<Graph {self.name!r}: {len(self)} nodes, level {self.level}>"

    def _unlink(self, node: Node) -> None:
        before, after = self._before.pop(node), self._after.pop(node)
        self._after[before], self._before[after] = after, before
        del self._by_name[node.name]
        base, _, suffix = node.name.rpartition("_")
        if base in self._suffixes and suffix.isdecimal():
            self._suffixes[base] = min(self._suffixes[base], int(suffix))
        self.touch()

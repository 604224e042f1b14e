"""Reading graph.toml: graphs and recipes, every fault with its line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

from mase.ir.annotations import annotation_class
from mase.ir.codec import from_fields, from_plain
from mase.ir.diagnostics import Diagnostic, Location, MaseError, closest, did_you_mean
from mase.ir.format import parse_format
from mase.ir.graph import Graph, Header, Node
from mase.ir.op import RESERVED, Level, Op, get_op
from mase.ir.printer import VERSION, writes_type
from mase.ir.state import Kind, WeightFile
from mase.ir.template import Template
from mase.ir.toml_lines import LineIndex
from mase.ir.types import NoneType, TensorType, Type, parse_type

__all__ = ["Document", "loads", "parse_document", "parse_toml"]

# table: known keys (None: anything)
_TABLES: dict[str, frozenset[str] | None] = {
    "model": None,
    "data": None,
    "pipeline": frozenset({"passes"}),
    "passes": None,
    "graph": frozenset({"name", "level", "outputs", "structure"}),
    "weights": frozenset({"file", "sha256"}),
    "state": None,
    "nodes": None,
    "loc": None,
    "history": frozenset({"passes"}),
}

T = TypeVar("T")


@dataclass(frozen=True)
class Document:
    """A read text: its header, and the graph if it has one (else ``header.model`` is a recipe)."""

    header: Header
    graph: Graph | None
    file: str
    lines: LineIndex

    def at(self, *path: str) -> Location:
        """Where the key ``path`` stands."""
        return Location(self.file, self.lines.line(*path))


def loads(text: str, *, file: str = "<text>", base_dir: Path | None = None) -> Graph:
    """Read a graph's text.

    Args:
        text: TOML with a ``[nodes]`` table.
        file: its name in diagnostics.
        base_dir: the folder that the weights file is named relative to.

    Raises:
        MaseError: if the text is malformed or holds no graph; every fault has its line.
    """
    document = parse_document(text, file=file, base_dir=base_dir)
    if document.graph is None:
        raise MaseError.of(
            "the text is a recipe ([model]) and holds no graph ([nodes])",
            at=Location(file, 1),
            help="run it through mase-opt or mase.load, which materialise the model",
        )
    return document.graph


def parse_document(text: str, *, file: str = "<text>", base_dir: Path | None = None) -> Document:
    """Read a graph or a recipe.

    Raises:
        MaseError: if the text is malformed.
    """
    return _Reader(parse_toml(text, file), file, LineIndex(text), base_dir).document()


def parse_toml(text: str, file: str) -> dict[str, Any]:
    """The tables of a text.

    Args:
        text: TOML.
        file: its name in diagnostics.

    Raises:
        MaseError: if it is malformed, with the line.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        line = int(found[1]) if found else max(1, text.count("\n"))
        raise MaseError.of(f"malformed TOML: {error}", at=Location(file, line)) from None


class _Reader:
    """Turns a TOML document into a graph and collects every fault with its line."""

    def __init__(self, toml: dict[str, Any], file: str, lines: LineIndex, base_dir: Path | None) -> None:
        self._toml, self._file, self._lines, self._base = toml, file, lines, base_dir
        self._faults: list[Diagnostic] = []

    def document(self) -> Document:
        self._check_tables()
        header = self._header()
        graph = self._graph(header) if "nodes" in self._toml else None
        if graph is None and not header.model:
            self._fault(
                "neither a graph ([nodes]) nor a recipe ([model])",
                help='begin with [model] and source = "zoo:digits-cnn"',
            )
        if self._faults:
            raise MaseError(self._faults)
        return Document(header, graph, self._file, self._lines)

    def _fault(self, message: str, *path: str, help: str | None = None) -> None:
        at = Location(self._file, self._lines.line(*path))
        node = path[1] if len(path) > 1 and path[0] == "nodes" else None
        self._faults.append(Diagnostic(message, at=at, node=node, help=help))

    def _try(self, build: Callable[[], T], *path: str) -> T | None:
        """``build()``, or None with the fault noted."""
        try:
            return build()
        except MaseError as error:
            for d in error.diagnostics:
                self._fault(d.message, *path, help=d.help)
        except ValueError as error:
            self._fault(str(error), *path)
        return None

    def _names(self, table: Mapping[str, Any], key: str, *path: str) -> list[str]:
        found: list[str] | None = self._try(lambda: from_plain(list[str], table.get(key, [])), *path)
        return found or []

    # -- tables -----------------------------------------------------------------------------

    def _check_tables(self) -> None:
        version = self._toml.get("mase")
        if version is None:
            self._fault("the key 'mase' is missing", help=f"begin the file with: mase = {VERSION}")
        elif version != VERSION:
            self._fault(f"mase = {version!r} is not a known format version", "mase", help=f"known: {VERSION}")
        for name, known in _TABLES.items():
            table = self._toml.get(name, {})
            if not isinstance(table, dict):
                self._fault(f"expected a table [{name}], found {table!r}", name)
                self._toml[name] = table = {}
            for key in cast(dict[str, Any], table):
                if known is not None and key not in known:
                    self._fault(f"unknown key {key!r} in [{name}]", name, key, help=did_you_mean(key, known))
        for name in sorted(set(self._toml) - set(_TABLES) - {"mase"}):
            # Other tables are the user's own and survive; one spelt almost like ours is a slip.
            remedy = closest(name, _TABLES, cutoff=0.75)
            if isinstance(self._toml[name], dict) and remedy:
                self._fault(f"unknown table [{name}]", name, help=f"{remedy} (or choose a name less alike)")

    def _table(self, name: str) -> dict[str, Any]:
        return cast(dict[str, Any], self._toml.get(name, {}))

    def _header(self) -> Header:
        passes: dict[str, dict[str, Any]] = {}
        for name, options in self._table("passes").items():
            if isinstance(options, dict):
                passes[name] = cast(dict[str, Any], options)
            else:
                self._fault(f"expected a table [passes.{name}], found {options!r}", "passes", name)
        return Header(
            model=self._table("model"),
            data=self._table("data"),
            pipeline=self._table("pipeline"),
            passes=passes,
            history=self._names(self._table("history"), "passes", "history", "passes"),
            extra={k: v for k, v in self._toml.items() if k not in _TABLES and k != "mase"},
        )

    def _graph(self, header: Header) -> Graph:
        table = self._table("graph")
        name = self._try(lambda: from_plain(str, table.get("name", "graph")), "graph", "name")
        level = self._try(lambda: from_plain(Level, table.get("level", "float")), "graph", "level")
        graph = Graph("graph" if name is None else name, level or "float")
        graph.header = header
        for key, text in self._table("state").items():
            self._state(graph, key, text)
        self._weights(graph)
        for key, node in self._table("nodes").items():
            self._node(graph, key, node)
        self._outputs(graph, table)
        return graph

    def _state(self, graph: Graph, key: str, text: Any) -> None:
        self._try(lambda: _declare(graph, key, text), "state", key)

    def _weights(self, graph: Graph) -> None:
        table = self._table("weights")
        if not table:
            return
        file, sha256 = table.get("file"), table.get("sha256")
        if not isinstance(file, str) or not isinstance(sha256, str):
            self._fault("[weights] needs the strings 'file' and 'sha256'", "weights")
            return
        graph.state.attach(WeightFile(self._base / file if self._base else Path(file), sha256))

    def _outputs(self, graph: Graph, table: dict[str, Any]) -> None:
        names = self._names(table, "outputs", "graph", "outputs")
        nodes = [self._lookup(graph, n, "graph", "outputs") for n in names]
        graph.outputs = [n for n in nodes if n is not None]
        if "structure" in table and not self._faults:
            template: Template | None = self._try(
                lambda: from_plain(Template, table["structure"]), "graph", "structure"
            )
            if template and set(template.holes) != set(range(len(names))):
                self._fault(f"structure {template} does not hold {len(names)} outputs", "graph", "structure")
            elif template:
                graph.structure = template

    # -- nodes ------------------------------------------------------------------------------

    def _node(self, graph: Graph, key: str, table: Any) -> None:
        path = ("nodes", key)
        if not isinstance(table, dict) or not isinstance(cast(dict[str, Any], table).get("op"), str):
            self._fault(f'expected {key} = {{ op = "...", ... }}', *path)
            return
        entry = cast(dict[str, Any], table)
        if graph.fresh_name(key) != key:
            self._fault(f"{key!r} is no identifier", *path)
        op = self._try(lambda: _op(entry), *path, "op")
        names = self._names(entry, "in", *path, "in")
        inputs = [self._lookup(graph, n, *path, "in") for n in names]
        node = Node(graph, key, *self._op_and_type(entry, op, path))
        node.inputs = [n for n in inputs if n is not None]
        params: dict[str, str] | None = self._try(
            lambda: from_plain(dict[str, str], entry.get("params", {})), *path, "params"
        )
        node.params = params or {}
        for state_key in node.params.values():
            self._check_key(graph, state_key, *path, "params")
        node.scope = self._try(lambda: from_plain(str, entry.get("scope", "")), *path, "scope") or ""
        loc = self._table("loc").get(key)
        node.loc = self._try(lambda: Location.parse(from_plain(str, loc)), "loc", key) if loc else None
        graph.append(node)
        self._meta(node, entry.get("meta", {}))

    def _op_and_type(self, entry: Mapping[str, Any], op: Op | None, path: tuple[str, ...]) -> tuple[Op, Type]:
        """The op and its type, or stand-ins after a fault so that later nodes find their operand."""
        if op is None:
            return Op(), NoneType()
        return op, self._try(lambda: _node_type(entry, op), *path, "type") or NoneType()

    def _check_key(self, graph: Graph, key: str, *path: str) -> None:
        self._try(lambda: graph.state.entry(key), *path)

    def _lookup(self, graph: Graph, name: str, *path: str) -> Node | None:
        if name in graph:
            return graph[name]
        later = name in self._table("nodes")
        remedy = (
            "move it up: a node comes after its operands"
            if later
            else did_you_mean(name, self._table("nodes"))
        )
        self._fault(f"{name!r} is not defined" + (" yet" if later else ""), *path, help=remedy)
        return None

    def _meta(self, node: Node, table: Any) -> None:
        path = ("nodes", node.name, "meta")
        tables: dict[str, dict[str, Any]] | None = self._try(
            lambda: from_plain(dict[str, dict[str, Any]], table), *path
        )
        for name, values in (tables or {}).items():
            cls = annotation_class(name)
            if cls is None:
                node.meta.foreign[name] = values
                continue
            made = self._annotation(cls, values, *path)
            if made is not None:
                node.meta.set(made)

    def _annotation(self, cls: type[Any], values: Mapping[str, Any], *path: str) -> Any:
        return self._try(lambda: from_fields(cls, values), *path)


def _op(entry: Mapping[str, Any]) -> Op:
    attributes = {k: v for k, v in entry.items() if k not in RESERVED}
    cls = get_op(entry["op"])
    try:
        return from_fields(cls, attributes)
    except ValueError as error:
        raise ValueError(f"{cls.name}: {error}") from None


def _node_type(entry: Mapping[str, Any], op: Op) -> Type:
    if not writes_type(op):
        return op.attributes()["returns"]
    if "type" not in entry:
        raise ValueError('the type is missing; write type = "f32[N,4]"')
    return from_plain(Type, entry["type"])


def _declare(graph: Graph, key: str, text: Any) -> None:
    text = from_plain(str, text)
    word, _, rest = text.partition(" ")
    if word == "alias":
        if rest not in graph.state:
            raise ValueError(f"{key!r} shares {rest!r}, which is not in [state] above it")
        graph.state.alias(key, rest)
        return
    kind = cast(Kind, word) if word in get_args(Kind) else None
    shown, _, stored = (rest if kind else text).partition(" as ")
    type = parse_type(shown)
    if not isinstance(type, TensorType):
        raise ValueError(f"expected a tensor type, found {type}")
    graph.state.declare(key, type, kind or "parameter", parse_format(stored) if stored else None)

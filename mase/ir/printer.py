"""Writing graph.toml: the canonical text of a graph."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from mase.ir.annotations import annotation_name
from mase.ir.codec import to_fields
from mase.ir.graph import Graph, Node
from mase.ir.op import Op
from mase.ir.state import WeightFile
from mase.ir.toml_values import toml_inline, toml_key, toml_pairs

__all__ = ["VERSION", "dumps", "writes_type"]

VERSION = 1
"""The version of the format, the first line of every file."""

_LONG = 140  # a node whose line would be longer is written as dotted keys


def dumps(graph: Graph, *, weights: WeightFile | None = None, base_dir: Path | None = None) -> str:
    """The canonical text of a graph.

    Args:
        graph: the graph; its weights' values are not part of the text.
        weights: the file that holds them; by default the file they were read from, if unchanged.
        base_dir: the folder that the weights file is named relative to.

    Example:
        >>> from mase.ir import Graph, parse_type
        >>> from mase.ir.ops import core, nn
        >>> g = Graph("tiny")
        >>> g.outputs = [g.add(nn.Relu(), g.add(core.Input(), type=parse_type("f32[4]"), name="x"))]
        >>> print(dumps(g).partition("[nodes]")[2].strip())
        x = { op = "core.input", type = "f32[4]" }
        relu = { op = "nn.relu", in = ["x"], type = "f32[4]" }
    """
    header, state = graph.header, graph.state
    weights = weights or (state.file if state.clean else None)
    lines = [f"mase = {VERSION}"]
    tables = {k: cast(Mapping[str, Any], v) for k, v in header.extra.items() if isinstance(v, Mapping)}
    lines += toml_pairs({k: v for k, v in header.extra.items() if k not in tables})
    for name, table in (("model", header.model), ("data", header.data), ("pipeline", header.pipeline)):
        lines += _table(name, table)
    for name, options in header.passes.items():
        lines += _table(f"passes.{toml_key(name)}", options, always=True)
    lines += _table("graph", _graph_table(graph))
    if weights is not None:
        file = weights.path
        shown = file.relative_to(base_dir) if base_dir and file.is_relative_to(base_dir) else file
        lines += _table("weights", {"file": shown.as_posix(), "sha256": weights.sha256})
    entries = {k: str(e) for k, e in state.entries().items()}
    lines += _table("state", entries | {a: f"alias {t}" for a, t in state.aliases.items()})
    lines += ["", "[nodes]", *(line for n in graph.nodes for line in _node_lines(n))]
    lines += _table("loc", {n.name: str(n.loc) for n in graph.nodes if n.loc})
    lines += _table("history", {"passes": header.history} if header.history else {})
    for name, table in tables.items():
        lines += _table(toml_key(name), table, always=True)
    return "\n".join(lines) + "\n"


def _table(name: str, table: Mapping[str, Any], always: bool = False) -> list[str]:
    return ["", f"[{name}]", *toml_pairs(table)] if table or always else []


def _graph_table(graph: Graph) -> dict[str, Any]:
    table: dict[str, Any] = {"name": graph.name, "level": graph.level}
    table["outputs"] = [n.name for n in graph.outputs]
    if graph.structure != Graph.default_structure(len(graph.outputs)):
        table["structure"] = str(graph.structure)
    return table


def _node_lines(node: Node) -> list[str]:
    table: dict[str, Any] = {"op": node.op.name}
    if node.inputs:
        table["in"] = [n.name for n in node.inputs]
    if node.params:
        table["params"] = dict(node.params)
    table |= to_fields(node.op)
    if writes_type(node.op):
        table["type"] = str(node.type)
    if node.scope:
        table["scope"] = node.scope
    if len(node.meta):
        table["meta"] = _meta_table(node)
    line = f"{node.name} = {toml_inline(table)}"
    return [line] if len(line) <= _LONG else [f"{node.name}.{pair}" for pair in toml_pairs(table)]


def writes_type(op: Op) -> bool:
    """Ops that state their result's type themselves (``returns``) need no second copy."""
    return "returns" not in op.attributes()


def _meta_table(node: Node) -> dict[str, Any]:
    own = {annotation_name(cast(type[Any], type(a))): to_fields(a) for a in node.meta}
    return dict(sorted((own | dict(node.meta.foreign)).items()))

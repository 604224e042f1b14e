"""A graph in Graphviz's language, with a cluster for each module."""

from __future__ import annotations

import json
from collections.abc import Iterator

from mase.ir.graph import Graph, Node
from mase.passes.analyses.drawing.style import details, family_of, lines_of, title_of
from mase.passes.analyses.not_quantized import NotQuantized

__all__ = ["to_dot"]


def to_dot(graph: Graph) -> str:
    """The graph as text for ``dot``.

    Example:
        >>> print(to_dot(Graph("tiny")).splitlines()[0])
        digraph "tiny (float)" {
    """
    lines = [
        f"digraph {_quoted(f'{graph.name} ({graph.level})')} {{",
        '  node [shape=box style="rounded,filled" fontname="Helvetica" fontsize=11]',
        '  edge [color="#9aa5b1" arrowsize=0.7]',
        '  graph [fontname="Helvetica" fontsize=10 color="#d5dbe1" bgcolor=white]',
        *_scope(list(graph.nodes), (), "  "),
    ]
    for node in graph.nodes:
        lines += [f"  {_quoted(s.name)} -> {_quoted(node.name)}" for s in dict.fromkeys(node.inputs)]
    for i, node in enumerate(graph.outputs):
        name = "output" if len(graph.outputs) == 1 else f"output {i}"
        end = _quoted(f"->{name}")
        lines.append(f"  {end} [label={_quoted(name)} shape=ellipse]")
        lines.append(f"  {_quoted(node.name)} -> {end}")
    return "\n".join([*lines, "}"]) + "\n"


def _scope(nodes: list[Node], path: tuple[str, ...], indent: str) -> Iterator[str]:
    """The nodes of one module, those of its modules in clusters of their own."""
    inner: dict[str, list[Node]] = {}
    for node in nodes:
        rest = node.scope.split(".")[len(path) :] if node.scope else []
        if rest:
            inner.setdefault(rest[0], []).append(node)
        else:
            yield f"{indent}{_quoted(node.name)} [{_look(node)}]"
    for name, members in inner.items():
        own = (*path, name)
        if len(members) == 1:
            yield f"{indent}{_quoted(members[0].name)} [{_look(members[0])}]"
            continue
        title = ".".join(own)
        yield f"{indent}subgraph {_quoted(f'cluster_{title}')} {{"
        yield f"{indent}  label={_quoted(title)}"
        yield from _scope(members, own, indent + "  ")
        yield f"{indent}}}"


def _look(node: Node) -> str:
    family, quantized = family_of(node.op), node.op.level != "float"
    refused = NotQuantized in node.meta
    attributes = {
        "label": "\n".join([title_of(node.op), *lines_of(node)]),
        "tooltip": details(node),
        "fillcolor": family.strong if quantized else family.light,
        "color": "#c53030" if refused else family.strong,
        "fontcolor": "#ffffff" if quantized else "#1f2933",
        "style": "rounded,filled,dashed" if refused else "rounded,filled",
    }
    return " ".join(f"{key}={_quoted(value)}" for key, value in attributes.items())


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)

"""Structural difference of two graphs, as lines that read like a patch."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mase.ir.graph import Graph, Node

__all__ = ["diff"]


def diff(a: Graph, b: Graph) -> list[str]:
    r"""What must change in ``a`` to give ``b``; empty if they are equal.

    ``-`` and ``+`` are nodes or keys of one side alone, ``~`` those that differ. Weights are
    compared by type and kind, not by value.

    Example:
        >>> from mase.ir import Graph, parse_type
        >>> from mase.ir.ops import core, nn
        >>> a, b = Graph(), Graph()
        >>> _ = a.add(core.Input(), type=parse_type("f32[4]"), name="x")
        >>> x = b.add(core.Input(), type=parse_type("f32[8]"), name="x")
        >>> _ = b.add(nn.Relu(), x)
        >>> print("\n".join(diff(a, b)))
        ~ x.type: f32[4] -> f32[8]
        + relu = nn.relu(x): f32[8]
    """
    return [
        *_values("graph", _facts(a), _facts(b)),
        *(line for f in fields(a.header) for line in _field(f"[{f.name}]", f.name, a, b)),
        *_keys("state ", _state(a), _state(b)),
        *_nodes(a, b),
    ]


def _facts(graph: Graph) -> dict[str, Any]:
    outputs = [n.name for n in graph.outputs]
    return {"name": graph.name, "level": graph.level, "outputs": outputs, "structure": graph.structure}


def _state(graph: Graph) -> dict[str, str]:
    entries = {k: str(e) for k, e in graph.state.entries().items()}
    return entries | {a: f"alias {t}" for a, t in graph.state.aliases.items()}


def _field(label: str, name: str, a: Graph, b: Graph) -> Iterator[str]:
    old, new = getattr(a.header, name), getattr(b.header, name)
    if old != new:
        yield f"~ {label}: {old} -> {new}"


def _values(label: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for key, value in old.items():
        if value != new[key]:
            yield f"~ {label}.{key}: {value} -> {new[key]}"


def _keys(label: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    yield from (f"- {label}{k}: {old[k]}" for k in old if k not in new)
    yield from (f"~ {label}{k}: {old[k]} -> {new[k]}" for k in old if k in new and old[k] != new[k])
    yield from (f"+ {label}{k}: {new[k]}" for k in new if k not in old)


def _line(node: Node) -> str:
    return f"{node.name} = {node.op.name}({', '.join(n.name for n in node.inputs)}): {node.type}"


def _node_facts(node: Node) -> dict[str, Any]:
    return {
        "op": node.op,
        "in": [n.name for n in node.inputs],
        "params": dict(node.params),
        "type": node.type,
        "scope": node.scope,
        "loc": node.loc,
        "meta": node.meta,
    }


def _nodes(a: Graph, b: Graph) -> Iterator[str]:
    old, new = [n.name for n in a.nodes], [n.name for n in b.nodes]
    matcher = difflib.SequenceMatcher(a=old, b=new, autojunk=False) if old != new else None
    blocks = matcher.get_opcodes() if matcher else [("equal", 0, len(old), 0, len(new))]
    for tag, i, j, k, m in blocks:
        if tag == "equal":
            for name in old[i:j]:
                yield from _values(name, _node_facts(a[name]), _node_facts(b[name]))
        else:
            yield from (f"- {_line(a[name])}" for name in old[i:j])
            yield from (f"+ {_line(b[name])}" for name in new[k:m])

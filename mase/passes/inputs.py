"""From a document to a graph that passes can work on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mase.ir import verify
from mase.ir.annotations import annotation_class
from mase.ir.codec import from_fields
from mase.ir.diagnostics import MaseError
from mase.ir.graph import Graph, Node
from mase.ir.parser import Document
from mase.ir.storage import Storage, provide_storage

__all__ = ["adopt_annotations", "graph_of"]


def _packed_storage() -> Storage:
    from mase.runtime.storage import PackedStorage

    return PackedStorage()


provide_storage(_packed_storage)


def graph_of(document: Document) -> Graph:
    """The graph of a document: as written, or captured from the model that its recipe names.

    Args:
        document: what was read; its header may have been changed since.

    Raises:
        MaseError: if a written graph breaks a rule, with the line; if the recipe's source is unknown or its
            model cannot be captured.
    """
    if document.graph is not None:
        _check_written(document, document.graph)
        return document.graph
    from mase.frontends.source import materialise
    from mase.passes.capture import checked_trace
    from mase.passes.data import data_of

    header, base_dir = document.header, Path(document.file).parent
    data = data_of(header, base_dir) if "source" in header.data else None
    graph = materialise(header, base_dir=base_dir, data=data, trace=checked_trace)
    if data is not None:
        graph.header.data |= data.located()
    return graph


def _check_written(document: Document, graph: Graph) -> None:
    """A graph that somebody edited has to be valid, and its lines are known."""
    faults = verify.verify(graph)
    if faults:
        raise MaseError(
            [replace(d, at=document.at("nodes", d.node)) if d.node and not d.at else d for d in faults]
        )


def adopt_annotations(graph: Graph) -> None:
    """Make annotations typed that were read before the module that owns them was imported.

    Args:
        graph: the graph.

    Raises:
        MaseError: if one does not have the fields of its class.
    """
    for node in graph.nodes:
        for name in list(node.meta.foreign):
            _adopt(node, name)


def _adopt(node: Node, name: str) -> None:
    cls = annotation_class(name)
    if cls is None:
        return
    try:
        node.meta.set(from_fields(cls, node.meta.foreign.pop(name)))
    except ValueError as error:
        raise MaseError.of(f"annotation {name!r}: {error}", node=node.name, source=node.loc) from None

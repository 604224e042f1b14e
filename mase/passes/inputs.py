"""From a document to a graph: recipes are materialised by the frontends."""

from __future__ import annotations

from pathlib import Path

from mase.ir.graph import Graph
from mase.ir.parser import Document

__all__ = ["graph_of"]


def graph_of(document: Document) -> Graph:
    """The graph of a document: as written, or captured from the model that its recipe names.

    Args:
        document: what was read; its header may have been changed since.

    Raises:
        MaseError: if the recipe's source is unknown or its model cannot be captured.
    """
    if document.graph is not None:
        return document.graph
    from mase.frontends.source import materialise

    return materialise(document.header, base_dir=Path(document.file).parent)

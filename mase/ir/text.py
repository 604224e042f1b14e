"""graph.toml: the canonical text of graphs and recipes.

``loads(dumps(g)) == g`` for every graph, and ``dumps(loads(t)) == t`` for canonical ``t``. With a
``[nodes]`` table the text is a graph; without, its ``[model]`` is a recipe for a frontend.
"""

from mase.ir.parser import Document, loads, parse_document
from mase.ir.printer import dumps

__all__ = ["Document", "dumps", "loads", "parse_document"]

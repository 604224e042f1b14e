"""What a pass is: a function or a class, its options, and what it needs and promises."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mase.ir.diagnostics import Location
from mase.ir.graph import Graph
from mase.ir.op import Level
from mase.passes.analysis import Analysis
from mase.passes.rewriter import apply_rewrites

if TYPE_CHECKING:
    from mase.passes.context import Context
    from mase.passes.options import Option

__all__ = ["ANY_LEVEL", "Pass"]

ANY_LEVEL: tuple[Level, ...] = ("float", "quantized", "integer")
"""What ``requires`` says of a pass that takes any graph."""


@dataclass(frozen=True)
class Pass:
    """A registered pass; make one with `register_pass`.

    Args:
        name: what users write.
        target: the function ``(graph, ctx, *, options...)``, or the dataclass that has `rewrite` methods
            or a method ``run(graph, ctx)``.
        requires: the levels of the graphs that it takes.
        ensures: the level of the graph that it leaves; None if it stays as it was.
        preserves: the analyses that stay true although the graph changes.
        needs_data: whether it cannot run without a data set.
        changes_numbers: whether the graph computes other numbers afterwards.
    """

    name: str
    target: Callable[..., Any]
    requires: tuple[Level, ...] = ANY_LEVEL
    ensures: Level | None = None
    preserves: tuple[Analysis, ...] = ()
    needs_data: bool = False
    changes_numbers: bool = False

    @property
    def doc(self) -> str:
        """Its documentation."""
        return inspect.getdoc(self.target) or ""

    @property
    def summary(self) -> str:
        """The first line of its documentation."""
        return self.doc.partition("\n")[0]

    @property
    def place(self) -> Location:
        """Where it is written."""
        code = getattr(self.target, "__code__", None)
        if code is not None:
            return Location(str(Path(code.co_filename)), code.co_firstlineno)
        return Location(inspect.getfile(self.target), inspect.getsourcelines(self.target)[1])

    @cached_property
    def options(self) -> dict[str, Option]:
        """Its options by name."""
        from mase.passes.options import options_of

        return options_of(self.target)

    def bind(self, options: Mapping[str, Any]) -> Callable[[Graph, Context], None]:
        """What runs with these options.

        Args:
            options: typed values by name; the others take their defaults.

        Raises:
            MaseError: if the class of the pass rejects them together.
        """
        if not inspect.isclass(self.target):
            return partial(self.target, **options)
        made: Any = self.target(**options)
        return made.run if hasattr(made, "run") else partial(apply_rewrites, made)

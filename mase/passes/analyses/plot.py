"""``plot``: the graph as a picture."""

from __future__ import annotations

from pathlib import Path

from mase.ir.diagnostics import UsageError, did_you_mean
from mase.ir.graph import Graph
from mase.passes.analyses.drawing.dot import to_dot
from mase.passes.analyses.drawing.picture import picture
from mase.passes.analyses.drawing.svg import to_svg
from mase.passes.analyses.output import write_file
from mase.passes.context import Context
from mase.passes.registry import register_pass

__all__ = ["plot"]

_ENDINGS = ("svg", "png", "pdf", "dot")


@register_pass("plot")
def plot(graph: Graph, ctx: Context, *, file: str = "graph.svg", sizes: bool = False) -> None:
    """Draw the graph, inputs on top: a box for each node, coloured by what it does, filled if quantized.

    Pointing at a box of an SVG shows everything about the node. SVG and dot need no further package,
    PNG and PDF need matplotlib.

    Args:
        graph: the graph.
        ctx: the context of the run.
        file: where to; its ending says the kind: svg, png, pdf, or dot for Graphviz.
        sizes: draw scalars too, mostly symbolic sizes on their way to reshapes (dot always has them).

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     plot(Graph("tiny"), Context(Graph(), output_dir=Path(folder)), file="tiny.svg")
        ...     "tiny (float)" in Path(folder, "tiny.svg").read_text()
        True
    """
    ending = Path(file).suffix.removeprefix(".").lower()
    write_file(ctx, file, _drawn(graph, ending, sizes), "graph drawing")


def _drawn(graph: Graph, ending: str, sizes: bool) -> str | bytes:
    match ending:
        case "dot":
            return to_dot(graph)
        case "svg":
            return to_svg(picture(graph, sizes=sizes))
        case "png" | "pdf":
            from mase.passes.analyses.drawing.raster import to_raster

            return to_raster(picture(graph, sizes=sizes), ending)
        case _:
            raise UsageError.of(f"plot: cannot write {ending!r} files", help=did_you_mean(ending, _ENDINGS))

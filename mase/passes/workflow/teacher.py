"""Who a graph learns from when it is trained with distillation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mase.ir.diagnostics import MaseError
from mase.ir.files import read_document
from mase.ir.graph import Graph
from mase.passes.context import Context
from mase.passes.workflow.stages import float_version

if TYPE_CHECKING:
    from torch.fx import GraphModule

    from mase.runtime.training.checkpoint import Kind

__all__ = ["teacher_of"]

_KINDS: dict[str, Kind] = {".ckpt": "pl", ".pt": "pt", ".pth": "pt", ".bin": "pt", ".safetensors": "pt"}


def teacher_of(graph: Graph, ctx: Context, distill: str | None) -> GraphModule | None:
    """The module to learn from; None where nobody wants one.

    Args:
        graph: what is about to be trained; a quantized one keeps its weights in float, so its float
            version is the model that it was made from.
        ctx: the context of the run.
        distill: ``"float"`` for that, or a file: another graph, or other weights for the float version.

    Raises:
        MaseError: if there is no such file, or its weights do not fit.
    """
    if distill is None:
        return None
    if distill == "float":
        if graph.level == "float":
            ctx.warn("distill: the graph is in float already, so its teacher is what it was before training")
        return ctx.lower(float_version(graph))
    path = Path(distill)
    if path.suffix in _KINDS:
        return _with_weights(ctx.lower(float_version(graph)), path)
    file = path / "graph.toml" if path.is_dir() else path
    if file.suffix != ".toml" or not file.is_file():
        raise MaseError.of(
            f"distill: there is no teacher at {distill!r}",
            help='say "float", or name a graph.toml or a file of weights: ' + ", ".join(_KINDS),
        )
    return _of_file(file, ctx)


def _with_weights(module: GraphModule, path: Path) -> GraphModule:
    from mase.runtime.trainer import load_checkpoint

    load_checkpoint(module, path, _KINDS[path.suffix])
    return module


def _of_file(file: Path, ctx: Context) -> GraphModule:
    from mase.passes.inputs import graph_of

    other = graph_of(read_document(file))
    return Context(other, seed=ctx.seed, base_dir=file.parent).lower(other)

"""``load``: take the weights from a checkpoint."""

from __future__ import annotations

from typing import Literal

from mase.ir.graph import Graph
from mase.passes.context import Context
from mase.passes.registry import register_pass

__all__ = ["load"]


@register_pass("load", requires=("float", "quantized"), changes_numbers=True)
def load(graph: Graph, ctx: Context, *, file: str, kind: Literal["pl", "pt"] = "pl") -> None:
    """Take the weights from a checkpoint; every key must be there, and no other.

    Args:
        graph: the graph, of the model that the checkpoint was saved from.
        ctx: the context of the run.
        file: the checkpoint.
        kind: ``pl`` for a Lightning checkpoint, ``pt`` for a state dict (torch or safetensors).

    Raises:
        MaseError: if it cannot be read, or listing every key that does not fit.
    """
    from mase.runtime.lower import write_back
    from mase.runtime.trainer import load_checkpoint

    module = ctx.lower(graph)
    load_checkpoint(module, file, kind)
    write_back(module, graph)
    ctx.stat("weights loaded", len(graph.state))

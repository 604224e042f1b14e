"""Passes: what a compiler does to a graph, how one is written, and how they run in a row.

A pass is a function whose keyword-only parameters are its options:

    @register_pass("clip-weights")
    def clip_weights(graph: Graph, ctx: Context, *, limit: float = 1.0) -> None: ...

or a class with `rewrite` methods, whose fields are its options. Nothing here loads torch.
"""

from mase.passes.analysis import Analyses
from mase.passes.base import Pass
from mase.passes.context import Context
from mase.passes.instruments import Instrument
from mase.passes.loading import load_file
from mase.passes.pipeline import Pipeline
from mase.passes.registry import declare_passes, get_pass, pass_names, register_pass
from mase.passes.rewriter import Rewriter, apply_rewrites, rewrite

__all__ = [
    "Analyses",
    "Context",
    "Instrument",
    "Pass",
    "Pipeline",
    "Rewriter",
    "apply_rewrites",
    "declare_passes",
    "get_pass",
    "load_file",
    "pass_names",
    "register_pass",
    "rewrite",
]

"""``export``: write the graph as a file that other tools run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mase.ir.diagnostics import MaseError, UsageError
from mase.ir.graph import Graph
from mase.passes.context import Context
from mase.passes.registry import register_pass
from mase.passes.workflow.stages import float_version
from mase.runtime.hls.options import HlsOptions

if TYPE_CHECKING:
    from onnx import ModelProto

    from mase.runtime.hls.project import Written
    from mase.runtime.onnx.saving import Summary

__all__ = ["Export"]

ExportFormat = Literal["float", "qdq", "qonnx", "integer", "hls"]
_LEVELS = {
    "float": ("float", "quantized"),
    "qdq": ("quantized",),
    "qonnx": ("quantized",),
    "integer": ("integer",),
    "hls": ("quantized", "integer"),
}
_REMEDIES = {
    "integer": "run legalize-casts first",
    "quantized": "run quantize first",
    "float": "export it before it is made integer",
}


@register_pass("export")
class Export:
    """Write the graph as ONNX, or as a project of hls4ml.

    Args:
        format: ``float`` for the float model; ``qdq`` for QuantizeLinear and DequantizeLinear, which
            onnxruntime, OpenVINO and TensorRT run in 8-bit integers; ``qonnx`` for QONNX's Quant, which has
            any width; ``integer`` for a graph that ``legalize-casts`` left: MatMulInteger and ConvInteger,
            exact requantizations, weights stored in 2, 4 or 8 bits; ``hls`` for a project of hls4ml with
            computed precisions, whose C++ is compiled with g++.
        path: the file, or the project's folder; by default ``graph.<format>.onnx`` and ``graph.hls`` in the
            output folder.
        pack: store weights of up to 4 bits as INT4 (``qdq``): the file is smaller, but runtimes without
            4-bit kernels compute such layers in float.
        unsigned: write signed activations as unsigned codes around 128 (``qdq``), which mean the same: then
            onnxruntime runs every sum and layer in integers; TensorRT wants them signed.
        external_data: bytes of weights beyond which they are written to ``<path>.data``; by default where
            protobuf ends, at 2 GiB.
        hls: the hardware (``hls``): ``backend``, ``part``, ``clock``, ``io_type``, ``strategy``,
            ``reuse_factor``; ``emulate=false`` leaves the C++ uncompiled.

    Raises:
        MaseError: if something in the graph has no form in the file; it names the node.
    """

    format: ExportFormat = "qdq"
    path: str | None = None
    pack: bool = False
    unsigned: bool = False
    external_data: int | None = None
    hls: HlsOptions | None = None

    def __post_init__(self) -> None:
        for name in ("pack", "unsigned"):
            if getattr(self, name) and self.format != "qdq":
                raise UsageError.of(f'{name} is for format="qdq", not {self.format!r}')
        if self.hls is not None and self.format != "hls":
            raise UsageError.of(f'hls is for format="hls", not {self.format!r}')
        if self.external_data is not None and self.format == "hls":
            raise UsageError.of("external_data is for ONNX files")
        if self.external_data is not None and self.external_data < 0:
            raise UsageError.of(f"external_data is {self.external_data}", help="use a number of bytes")

    def run(self, graph: Graph, ctx: Context) -> None:
        """Write the file; the graph stays as it is."""
        from mase.runtime.onnx.saving import LIMIT, save_model

        if graph.level not in _LEVELS[self.format]:
            wanted = _LEVELS[self.format][0]
            raise MaseError.of(
                f'the graph is at level {graph.level}, and format="{self.format}" takes {wanted}',
                help=_REMEDIES[wanted],
            )
        if self.format == "hls":
            self._write_project(graph, ctx)
            return
        limit = LIMIT if self.external_data is None else self.external_data
        path = (ctx.output_dir or Path()) / (self.path or f"graph.{self.format}.onnx")
        summary = save_model(self._model(graph, ctx), path, limit)
        for file in summary.files:
            ctx.wrote(file, f"{self.format} model" if file == path else "its weights")
        show(ctx, self.format, graph, summary)

    def _write_project(self, graph: Graph, ctx: Context) -> None:
        from mase.runtime.hls.project import write_project

        options = self.hls or HlsOptions()
        path = (ctx.output_dir or Path()) / (self.path or "graph.hls")
        written = write_project(graph, path, options)
        ctx.wrote(path, f"hls4ml project for {options.backend}")
        _show_layers(ctx, graph, path, options, written)
        for name, strategy in written.strategies.items():
            ctx.warn(f"strategy of {name} is {strategy}, the only one that hls4ml has for its kind")
        for name, factor in written.reuse.items():
            if factor != options.reuse_factor:
                ctx.warn(f"reuse_factor of {name} is {factor}, the nearest that its shape allows")

    def _model(self, graph: Graph, ctx: Context) -> ModelProto:
        from mase.runtime.onnx import QdqQuantizers, QonnxQuantizers, print_graph

        if self.format == "float":
            if graph.level != "float":
                ctx.note("the float model has none of the graph's number formats")
            return print_graph(float_version(graph), None, "float")
        if self.format == "integer":
            return print_graph(graph, None, "integer")
        quantizers = QdqQuantizers(self.pack, self.unsigned) if self.format == "qdq" else QonnxQuantizers()
        return print_graph(graph, quantizers, self.format)


def _show_layers(ctx: Context, graph: Graph, path: Path, options: HlsOptions, written: Written) -> None:
    """Print the types of each layer's numbers."""
    from rich.table import Table

    part = options.part or "the backend's own part"
    table = Table(title=f"{graph.name} as hls: {path}, {options.backend} on {part}", title_justify="left")
    for name in ("layer", "kind", "result", "sums", "weights"):
        table.add_column(name, overflow="fold")
    for layer in written.layers:
        table.add_row(
            layer.name, layer.kind, *(layer.types.get(t, "") for t in ("result", "accum", "weight"))
        )
    ctx.console.print(table)


def show(ctx: Context, format: str, graph: Graph, summary: Summary) -> None:
    """Print what a file holds."""
    from rich.table import Table

    from mase.ir.ops.quantized import role_formats

    table = Table(title=f"{graph.name} as {format}: {summary.files[0]}", title_justify="left")
    table.add_column("what")
    table.add_column("in the file")
    table.add_row("operators", ", ".join(f"{n} × {op}" for op, n in summary.ops.items()))
    for name, (number, size) in summary.tensors.items():
        table.add_row(f"initializers {name}", f"{number}, {size:,} bytes")
    used = sorted({str(f) for node in graph.nodes for f in role_formats(node.op).values() if f is not None})
    if used and format != "float":
        table.add_row("number formats", ", ".join(used))
    table.add_row("size", f"{summary.bytes:,} bytes" + (" in 2 files" if len(summary.files) > 1 else ""))
    ctx.console.print(table)

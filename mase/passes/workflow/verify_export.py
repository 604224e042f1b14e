"""``verify-export``: run exported files in every engine, and compare them with the graph bit for bit."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mase.ir.diagnostics import MaseError, UsageError, did_you_mean
from mase.ir.graph import Graph
from mase.passes.analyses.calibration import Split, model_inputs
from mase.passes.analyses.output import write_file
from mase.passes.context import Context
from mase.passes.registry import register_pass
from mase.passes.workflow.stages import float_version

if TYPE_CHECKING:
    from torch import Tensor

    from mase.runtime.verification import Check, Tolerance

__all__ = ["VerifyExport"]

_FLOAT_TOLERANCE = 1e-4  # sums of floats depend on their order


@register_pass("verify-export")
class VerifyExport:
    """Compare exported files with the graph, in every engine that is installed.

    The graph's own module is run on vectors of which half lie exactly between two codes, and on samples of
    the data set. Each engine must give the very same numbers, inside of the model too where it shows them; of
    a float model, the same within 1e-4 of the largest. The first node and index that differ are shown, and
    what an engine said that cannot run a file; the run fails.

    Args:
        path: the file, or the folder of a project; by default every ``graph.*.onnx`` of the output folder,
            and ``graph.hls``.
        engines: names of engines; by default all that run files of the kind.
        samples: how many vectors.
        batches: how many batches of the data set, where there is one.
        split: the part of the data.
        seed: chooses the vectors; by default the run's.
        tolerance: how far numbers may be apart, as a share of the largest: 0 is bit for bit. By scales of
            ``int<W>`` that are no powers of two each engine multiplies in float32, in an order of its own:
            with them it is at least 2^-20, which the table says, and a number that close to a tie may
            become another code. Those of ``fixed<W,F>`` are exact. What a quantized graph leaves in float
            (``tanh`` without ``nonlinear=table``) may differ by 2^-20 up to the next quantizer.
        file: where the results are written as JSON, in the output folder.

    Raises:
        MaseError: if a number differs, an engine fails, or none ran.
    """

    path: str | None = None
    engines: list[str] | None = None
    samples: int = 64
    batches: int = 1
    split: Split = "test"
    seed: int | None = None
    tolerance: float = 0.0
    file: str | None = "verify-export.json"

    def __post_init__(self) -> None:
        if self.samples < 1 or self.batches < 0:
            raise UsageError.of(
                f"samples is {self.samples} and batches is {self.batches}",
                help="give at least 1 sample and 0 batches",
            )
        if not 0 <= self.tolerance < math.inf:
            raise UsageError.of(f"tolerance is {self.tolerance}", help="0 is bit for bit, 0.01 one percent")
        for name in ("path", "file"):
            if getattr(self, name) == "":
                raise UsageError.of(f"{name} is empty", help="name a file, or leave it out")

    def run(self, graph: Graph, ctx: Context) -> None:
        """Check the files."""
        checks: dict[str, list[Check]] = {}
        sets = self._inputs(graph, ctx)
        if graph.level in ("quantized", "integer") and self.engines is None:
            checks["the graph itself"] = _interpreted(graph, ctx, sets, self._within(graph))
        for path in self._paths(ctx):
            checks[path.name] = self._check(graph, ctx, path, sets)
        _show(ctx, checks)
        if ctx.output_dir is not None and self.file is not None:
            text = json.dumps({k: [c.as_json() for c in v] for k, v in checks.items()}, indent=2)
            write_file(ctx, self.file, text + "\n", "verification")
        _judge(ctx, checks, _remedy(graph, self._within(graph)))

    def _paths(self, ctx: Context) -> list[Path]:
        folder = ctx.output_dir or Path()
        if self.path is not None:
            found = next((p for p in (folder / self.path, Path(self.path)) if p.exists()), None)
            if found is None:
                raise MaseError.of(f"no file {self.path}", help="run export first")
            return [found]
        paths = sorted((*folder.glob("graph.*.onnx"), *folder.glob("graph.hls")))
        if not paths:
            raise MaseError.of(
                f"no graph.*.onnx in {folder}", help="run export first, or name the file: path=..."
            )
        return paths

    def _inputs(self, graph: Graph, ctx: Context) -> dict[str, dict[str, Tensor]]:
        """The inputs by what they are called: vectors, and batches of the data set."""
        from mase.runtime.verification import vectors_for

        sets = {"vectors": vectors_for(graph, self.samples, ctx.seed if self.seed is None else self.seed)}
        if ctx.has_data and self.batches:
            loader: Iterator[Any] = _loader(ctx, self.split)
            for i, batch in enumerate(islice(loader, self.batches)):
                values = model_inputs(batch, graph)
                sets[f"{self.split} data {i}"] = dict(
                    zip((n.name for n in graph.inputs), values, strict=True)
                )
        return sets

    def _check(
        self, graph: Graph, ctx: Context, path: Path, sets: Mapping[str, Mapping[str, Tensor]]
    ) -> list[Check]:
        from mase.runtime.verification import Check, Tolerance, check_file, expected_values
        from mase.runtime.verification.models import kind_and_values

        kind, values = kind_and_values(path)
        if (kind == "integer") != (graph.level == "integer"):
            values = []  # of the same names, but codes in one and numbers in the other
        runs_on = float_version(graph) if kind == "float" else graph
        in_float = Tolerance(max(self.tolerance, _FLOAT_TOLERANCE))
        tolerance = in_float if kind == "float" else self._within(graph)
        checks: list[Check] = []
        for vectors, inputs in sets.items():
            expected = expected_values(runs_on, inputs, ctx.source_of(graph))
            feeds = {name: tensor.numpy() for name, tensor in inputs.items()}
            for name, cls in self._engines(kind):
                if reason := cls.missing():
                    checks.append(Check(name, vectors, skipped=reason))
                    continue
                found = check_file(
                    cls(path), name, feeds, expected, values, vectors=vectors, tolerance=tolerance
                )
                checks.append(found)
        return checks

    def _within(self, graph: Graph) -> Tolerance:
        """How far numbers of a quantized graph may be apart."""
        from mase.runtime.onnx.dyadic import inexact_scales
        from mase.runtime.verification import LAST_BITS, Tolerance, in_float

        if inexact_scales(graph):
            return Tolerance(max(self.tolerance, LAST_BITS))
        return Tolerance(self.tolerance, in_float(graph) if graph.level == "quantized" else frozenset())

    def _engines(self, kind: str) -> list[tuple[str, Any]]:
        from mase.runtime.verification import ENGINES

        for name in self.engines or []:
            if name not in ENGINES:
                raise UsageError.of(f"unknown engine {name!r}", help=did_you_mean(name, ENGINES))
        names = self.engines or list(ENGINES)
        return [(name, ENGINES[name]) for name in names if kind in ENGINES[name].kinds]


def _loader(ctx: Context, split: Split) -> Any:
    data: Any = ctx.data
    data.prepare_data()
    data.setup("test" if split == "test" else "fit")
    return iter(
        {"train": data.train_dataloader, "val": data.val_dataloader, "test": data.test_dataloader}[split]()
    )


def _interpreted(
    graph: Graph, ctx: Context, sets: Mapping[str, Mapping[str, Tensor]], tolerance: Tolerance
) -> list[Check]:
    """The integer interpreter, of a quantized graph on what ``legalize-casts`` makes of it."""
    from mase.ir.ops.exact import Quantity, real_value
    from mase.passes.legalize import Legalizer
    from mase.runtime.integer import Interpreter
    from mase.runtime.verification import Check, compare_outputs, expected_values

    name, checks = "integer interpreter", list[Check]()
    try:
        legal = graph if graph.level == "integer" else Legalizer(graph.copy(), ctx, "float").run()
        interpreter = Interpreter(legal, keep=None)
    except MaseError as error:
        return [Check(name, vectors, skipped=error.diagnostics[0].message) for vectors in sets]
    for vectors, inputs in sets.items():
        interpreter(**inputs)
        found = {
            node.name: real_value(node, interpreter.values[node.name]).numpy()
            for node in legal.nodes
            if legal is not graph and Quantity in node.meta and node.name in interpreter.values
        }
        for node, result in zip(graph.outputs, legal.outputs, strict=True):
            found[node.name] = interpreter.values[result.name].numpy()
        checks.append(compare_outputs(name, vectors, expected_values(graph, inputs), found, tolerance))
    return checks


def _show(ctx: Context, checks: Mapping[str, list[Check]]) -> None:
    from rich.table import Table

    for file, found in checks.items():
        table = Table(title=file, title_justify="left")
        for name in ("engine", "inputs", "outputs", "differ"):
            table.add_column(name, justify="right" if name in ("outputs", "differ") else "left")
        for check in found:
            if check.skipped:
                table.add_row(check.engine, check.vectors, "skipped", check.skipped, style="dim")
                continue
            if check.failed:
                table.add_row(check.engine, check.vectors, "failed", check.failed, style="red")
                continue
            within = f", by more than {check.tolerance:.0e}" if check.tolerance else ""
            numbers = f"{check.compared:,}", f"{check.wrong:,}{within}"
            table.add_row(check.engine, check.vectors, *numbers, style=None if check.ok else "red")
        ctx.console.print(table)
        for check in found:
            if check.first is not None:
                ctx.console.print(f"{check.engine}, {check.vectors}: {check.first}", highlight=False)


_OF_FILES = (
    "export it anew; if it was just exported, sums may have more bits than the 24 of float32 (value-range "
    'names them, format="integer" holds them); else this is a defect of mase or of the engine'
)
_OF_SCALES = (
    "scales that are no powers of two: a number next to a tie may become another code in float32, which "
    'tolerance=0.01 accepts; fixed<W,F> is exact, and so is legalize-casts with format="integer"'
)
_OF_FLOATS = (
    "{name} is computed in float, in which engines differ in the last bits, and a number next to a tie may "
    'become another code; quantize{{nonlinear="table"}} and legalize-casts are exact; tolerance=0.01 accepts'
)


def _remedy(graph: Graph, within: Tolerance) -> str:
    """What to do if numbers differ."""
    if within.inexact:
        first = next(node.name for node in graph.nodes if node.name in within.inexact)
        return _OF_FLOATS.format(name=first)
    return _OF_SCALES if within.share else _OF_FILES


def _judge(ctx: Context, checks: Mapping[str, list[Check]], remedy: str) -> None:
    ran = [(file, c) for file, found in checks.items() for c in found if not c.skipped]
    if not ran:
        raise MaseError.of("no engine ran", help="pip install 'mase[export]'")
    ctx.stat("outputs compared", sum(c.compared for _, c in ran))
    failed = next(((file, c) for file, c in ran if c.failed), None)
    bad = [(file, c) for file, c in ran if c.wrong or c.first]
    if failed and not bad:
        file, check = failed
        raise MaseError.of(
            f"{check.engine} cannot run {file}: {check.failed}",
            help="engines=[...] leaves an engine out; please tell us of the file",
        )
    if bad:
        file, worst = max(bad, key=lambda fc: fc[1].wrong)
        raise MaseError.of(
            f"{file} does not compute what the graph computes: {worst.wrong} of {worst.compared} outputs "
            f"differ in {worst.engine}; the first node that differs is {worst.first}",
            node=worst.first.node if worst.first else None,
            help=remedy,
        )

"""Every execution of a random model beside the module that is trained."""

from __future__ import annotations

import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningDataModule
from rich.console import Console
from torch import Tensor

import mase
from mase.frontends.onnx.reader import read_onnx
from mase.ir import Graph, MaseError
from mase.ir.diagnostics import Diagnostic
from mase.ir.toml_values import toml_inline
from mase.passes.context import Context
from mase.runtime.integer import Interpreter
from mase.runtime.lower import write_back
from mase.runtime.verification import (
    ENGINES,
    Check,
    Expected,
    Tolerance,
    check_file,
    expected_values,
    vectors_for,
)
from mase.runtime.verification.models import kind_and_values
from tests.fuzz.cases import Case, Finding
from tests.fuzz.exactness import depends_on_batch, has_one_result, rounds_alike
from tests.fuzz.models import ROWS, Net

__all__ = ["Judge", "judge"]

_SAMPLES = 24
_NEAR = 1e-3  # of floats whose sums are taken in another order
ANYTHING = float("inf")
"""A tolerance where only whether it runs is of interest: a number next to a tie may be another code."""

Inputs = Mapping[str, Tensor]
Outputs = list[Tensor]


@dataclass
class Judge:
    """Runs the executions of a case, and keeps what it finds.

    Args:
        case: the case.
        folder: where files go.
    """

    case: Case
    folder: Path
    findings: list[Finding] = field(default_factory=list[Finding])
    passed: list[str] = field(default_factory=list[str])

    def run(self) -> None:
        """Capture, quantize and compare; then train a step and compare again."""
        net = self.case.model()
        with self._stage("trace"):
            graph = mase.trace(net, tuple(net.inputs))
            self._float(graph)
            with self._stage("quantize"):
                fold = "fold-batchnorm," * self.case.folds
                _run(f"{fold}quantize{toml_inline(self.case.options(net))}", graph, data=_Data(net))
            if graph.level == "quantized":
                self._quantized("", graph)
                with self._stage("train"):
                    if _trained(graph):
                        self._quantized("trained ", graph)

    @property
    def bad(self) -> list[Finding]:
        """The findings that break the promise."""
        return [finding for finding in self.findings if finding.bad]

    # -- executions -------------------------------------------------------------------------

    def _float(self, graph: Graph) -> None:
        x = vectors_for(graph, 5)
        with self._stage("float"):
            self._file("float", graph, "float", x, expected_values(graph, x), _NEAR)

    def _quantized(self, prefix: str, graph: Graph) -> None:
        x = vectors_for(graph, _SAMPLES)
        expected = expected_values(graph, x)
        wanted, exact = _tensors(expected), has_one_result(graph)
        if not depends_on_batch(graph):
            for n in (1, 5):
                few = [w[:n] for w in wanted]
                run = _lowered(graph, _first(x, n))
                self._same(f"{prefix}batch of {n}", run, few, 0.0 if exact else _NEAR)
        self._same(f"{prefix}save, load", lambda: _lowered(self._reloaded(graph), x)(), wanted)
        self._packed(f"{prefix}pack", graph, x, wanted)
        if self.case.kind != "others":
            for form in ("qdq", "qonnx"):
                with self._stage(prefix + form):
                    self._file(prefix + form, graph, form, x, expected, 0.0 if exact else ANYTHING)
            self._integer(prefix, graph, x, wanted)

    def _packed(self, stage: str, graph: Graph, x: Inputs, wanted: Outputs) -> None:
        with self._stage(stage):
            packed = _run("pack", graph.copy())
            self._same(stage, _lowered(packed, x), wanted)
            self._same(f"{stage}, save, load", lambda: _lowered(self._reloaded(packed), x)(), wanted)

    def _integer(self, prefix: str, graph: Graph, x: Inputs, wanted: Outputs) -> None:
        with self._stage(f"{prefix}legalize"):
            integer = _run("legalize-casts,value-range", graph.copy())
            found = _interpreted(integer, x)()
            alike = rounds_alike(graph, integer)
            self._same(f"{prefix}interpreter", lambda: found, wanted, 0.0 if alike else ANYTHING)
            self._same(f"{prefix}integers lowered", _lowered(integer, x), found)
            reloaded = self._reloaded(integer)
            self._same(f"{prefix}integers reloaded", _interpreted(reloaded, x), found)
            alone = _interpreted(integer, _first(x, 1))
            self._same(f"{prefix}integers of 1", alone, [f[:1] for f in found])
            with self._stage(f"{prefix}integer"):
                self._file(f"{prefix}integer", integer, "integer", x, expected_values(integer, x), 0.0)

    def _file(self, stage: str, graph: Graph, form: str, x: Inputs, expected: Expected, near: float) -> None:
        """A file in every engine, for all samples and for one; and read back."""
        path = self.folder / f"graph.{form}.onnx"
        _run(f"export{{format={form}}}", graph.copy(), output_dir=self.folder)
        kind, values = kind_and_values(path)
        for n in (len(next(iter(x.values()))), 1):
            feeds = {name: tensor.numpy() for name, tensor in _first(x, n).items()}
            few = Expected({name: array[:n] for name, array in expected.outputs.items()}, {})
            for name in ENGINES:
                engine = ENGINES[name]
                if kind in engine.kinds and not engine.missing():
                    check = check_file(
                        engine(path), name, feeds, few, values, tolerance=Tolerance(min(near, 1e9))
                    )
                    self._checked(f"{stage} in {name}", check, n)
        with self._stage(f"{stage} read back"):
            graph = read_onnx(path)
            inputs = dict(zip((n.name for n in graph.inputs), x.values(), strict=True))
            self._same(f"{stage} read back", _lowered(graph, inputs), _tensors(expected), near)

    def _reloaded(self, graph: Graph) -> Graph:
        mase.save(graph.copy(), self.folder / "graph.toml")
        return mase.load(self.folder / "graph.toml")

    # -- what is found ----------------------------------------------------------------------

    def _checked(self, stage: str, check: Check, samples: int) -> None:
        if check.skipped:
            self.findings.append(Finding(stage, "skipped", check.skipped))
        elif check.failed:
            self.findings.append(Finding(stage, "fails", f"{samples} samples: {check.failed}"))
        elif not check.ok:
            text = f"{samples} samples: {check.wrong} of {check.compared}, {check.first}"
            self.findings.append(Finding(stage, "differs", text))
        else:
            self.passed.append(stage)

    def _same(self, stage: str, run: Callable[[], Outputs], wanted: Outputs, near: float = 0.0) -> None:
        with self._stage(stage):
            differing = (_difference(f, w, near) for f, w in zip(run(), wanted, strict=True))
            if text := next(filter(None, differing), None):
                self.findings.append(Finding(stage, "differs", text))
            else:
                self.passed.append(stage)

    @contextmanager
    def _stage(self, stage: str) -> Iterator[None]:
        try:
            yield
        except MaseError as error:
            for d in error.diagnostics or [Diagnostic("without a word")]:
                self.findings.append(Finding(stage, "refused", d.message, d.node))
        except Exception as error:  # noqa: BLE001 (whatever it is, it is a finding)
            ours = [f for f in traceback.extract_tb(error.__traceback__) if "/mase/" in f.filename]
            where = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "a test"
            text = f"{type(error).__name__} at {where}: {str(error)[:300]}"
            self.findings.append(Finding(stage, "fails", text))


class _Data(LightningDataModule):
    """One batch for calibration, of inputs such as a model's."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        shapes = [(40, *x.shape[1:]) for x in net.inputs]
        self._batch = [
            torch.randn(shape, generator=generator)
            if x.is_floating_point()
            else torch.randint(ROWS, shape, generator=generator)
            for shape, x in zip(shapes, net.inputs, strict=True)
        ]

    def train_dataloader(self) -> list[Any]:
        return [(*self._batch, torch.zeros(40))]


def judge(case: Case) -> Judge:
    """Run a case whole."""
    with tempfile.TemporaryDirectory() as folder:
        found = Judge(case, Path(folder))
        found.run()
        return found


def _run(passes: str, graph: Graph, **options: Any) -> Graph:
    mase.Pipeline(passes).run_in(Context(graph, console=Console(quiet=True), **options))
    return graph


def _trained(graph: Graph) -> bool:
    """Whether there was something to train for one step."""
    module = mase.lower(graph).train()
    results = _listed(module(*vectors_for(graph, 8).values()))
    loss = torch.stack([r.double().pow(2).mean() for r in results]).sum()
    parameters = list(module.parameters())
    if not parameters or not loss.requires_grad:
        return False
    loss.backward()
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    torch.optim.SGD(parameters, 0.05).step()
    write_back(module, graph)
    return True


def _lowered(graph: Graph, x: Inputs) -> Callable[[], Outputs]:
    return lambda: _listed(torch.no_grad()(mase.lower(graph).eval())(*x.values()))


def _interpreted(graph: Graph, x: Inputs) -> Callable[[], Outputs]:
    return lambda: _listed(Interpreter(graph)(*x.values()))


def _listed(value: Any) -> Outputs:
    if isinstance(value, Tensor):
        return [value]
    return list(value.values() if isinstance(value, Mapping) else value)


def _tensors(expected: Expected) -> Outputs:
    return [torch.from_numpy(array) for array in expected.outputs.values()]


def _first(x: Inputs, n: int) -> Inputs:
    return {name: tensor[:n] for name, tensor in x.items()}


def _difference(found: Tensor, wanted: Tensor, near: float) -> str | None:
    """The first number that differs by more than a share of the largest; None if none does."""
    if found.shape != wanted.shape:
        return f"shape {tuple(found.shape)}, expected {tuple(wanted.shape)}"
    reach = near * float(wanted.abs().max()) if wanted.numel() and near else 0.0
    same = (found == wanted) | (found.isnan() & wanted.isnan()) | ((found - wanted).abs() <= reach)
    if near == ANYTHING or bool(same.all()):
        return None
    at = tuple((~same).nonzero()[0].tolist())
    return f"{int((~same).sum())} of {wanted.numel()}, at {at} {found[at]:.9g}, expected {wanted[at]:.9g}"

"""What became of a model by capture: each property that it must keep, measured."""

from __future__ import annotations

import copy
import resource
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn

import mase
from mase.frontends.arguments import Arguments
from mase.frontends.capture import CaptureWarning
from mase.frontends.layout import flatten
from mase.ir import Graph
from mase.passes.analyses.report_rows import rows_of

from .base import Architecture

__all__ = ["PROPERTIES", "Verdict", "judge"]

PROPERTIES = ("eval", "sizes", "train", "gradients", "learns", "shared", "keys", "text", "reload", "quantize")
"""Equal in eval mode, at other sizes, in training with the same seed; equal gradients; a step of training
changes weights; weights shared with the source; the source's keys; the text reads back as the same graph;
the files give the same module without the source; `quantize` with its defaults gives a module that computes
and learns, and what stays in float says why."""


@dataclass
class Verdict:
    """The result of one capture.

    Args:
        name: the architecture.
        error: why there is no graph; empty if there is one.
        held: by property, "" if it holds, else why it does not. Those of training are left out for a model
            that takes another path there.
    """

    name: str
    error: str = ""
    seconds: float = 0.0
    nodes: int = 0
    opaque: int = 0
    notes: list[str] = field(default_factory=list)
    held: dict[str, str] = field(default_factory=dict)

    @property
    def perfect(self) -> bool:
        """Whether there is a graph, everything holds, and every layer is a unit that mase knows."""
        return not self.error and not any(self.held.values()) and not self.opaque

    @property
    def complete(self) -> bool:
        """Whether there is a graph and everything holds."""
        return not self.error and not any(self.held.values())


def judge(architecture: Architecture) -> Verdict:
    """Capture an architecture by `mase.trace` and measure what it keeps."""
    verdict = Verdict(architecture.name)
    model = architecture.build()
    arguments = architecture.arguments(*architecture.size)
    dynamic = architecture.dynamic()
    start = time.perf_counter()
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", CaptureWarning)
            graph = mase.trace(model, (), arguments, dynamic=dynamic)
    except Exception as error:  # noqa: BLE001 - a benchmark tells of every failure
        verdict.error = _reason(error)
        return verdict
    verdict.seconds = time.perf_counter() - start
    verdict.notes = [str(w.message) for w in caught if isinstance(w.message, CaptureWarning)]
    verdict.nodes = len(list(graph.nodes))
    verdict.opaque = sum(n.op.name == "torch.module" for n in graph.nodes)
    _Comparison(architecture, model, graph).into(verdict.held)
    return verdict


class _Comparison:
    """A captured graph beside its model."""

    def __init__(self, architecture: Architecture, model: nn.Module, graph: Graph) -> None:
        self._architecture, self._model, self._graph = architecture, model, graph
        self._lowered: nn.Module = mase.lower(graph, source_model=model)

    def into(self, held: dict[str, str]) -> None:
        """Measure every property."""
        skipped = ("train", "gradients") if self._architecture.branches else ()
        for name in (p for p in PROPERTIES if p not in skipped):
            measure: Callable[[], str] = getattr(self, f"_{name}")
            try:
                held[name] = measure()
            except Exception as error:  # noqa: BLE001 - a benchmark tells of every failure
                held[name] = _reason(error)

    def _arguments(self, size: tuple[int, int] | None = None) -> dict[str, Any]:
        return self._architecture.arguments(*(size or self._architecture.size))

    def _eval(self) -> str:
        return self._compared(self._architecture.size, train=False)

    def _sizes(self) -> str:
        return next((t for s in self._architecture.others if (t := self._compared(s, train=False))), "")

    def _train(self) -> str:
        return self._compared(self._architecture.size, train=True)

    def _compared(self, size: tuple[int, int], *, train: bool) -> str:
        expected = called(self._model, self._arguments(size), train=train)
        found = called(self._lowered, self._taken(size), train=train)
        return difference(expected, found)

    def _taken(self, size: tuple[int, int] | None = None) -> dict[str, Any]:
        return Arguments(self._model, (), self._arguments(size)).tensor_arguments()

    def _gradients(self) -> str:
        theirs = _trained(self._model, self._arguments())[0]
        ours = _trained(self._lowered, self._taken())[0]
        if theirs.keys() != ours.keys():
            return f"gradients of {sorted(theirs.keys() ^ ours.keys())[0]}"
        scale = max((float(g.abs().max()) for g in theirs.values()), default=1.0)
        for key, gradient in theirs.items():
            if not torch.allclose(ours[key], gradient, rtol=1e-3, atol=1e-5 * scale):
                return f"{key} by {float((ours[key] - gradient).abs().max()):.1e} of {scale:.1e}"
        return ""

    def _learns(self) -> str:
        changed, total = _trained(self._lowered, self._taken())[1:]
        return "" if changed else f"none of {total} weights changes"

    def _shared(self) -> str:
        state = self._model.state_dict(keep_vars=True)
        apart = [k for k in state if self._graph.state[k].data_ptr() != state[k].data_ptr()]
        return f"{apart[0]} is a copy" if apart else ""

    def _keys(self) -> str:
        mine, theirs = set(self._lowered.state_dict()), set(self._model.state_dict())
        return ", ".join(sorted(mine ^ theirs)[:3])

    def _text(self) -> str:
        text = mase.dumps(self._graph)
        again = mase.loads(text)
        return "" if again == self._graph and mase.dumps(again) == text else "another graph"

    def _reload(self) -> str:
        with tempfile.TemporaryDirectory() as folder:
            mase.save(self._graph, Path(folder) / "graph.toml")
            again = mase.load(Path(folder) / "graph.toml")
            opaque = any(n.op.name == "torch.module" for n in again.nodes)
            lowered = mase.lower(again, source_model=self._architecture.build() if opaque else None)
            expected = called(self._lowered, self._taken(), train=False)
            return difference(expected, called(lowered, self._taken(), train=False))

    def _quantize(self) -> str:
        graph = self._graph.copy()
        mase.Pipeline("quantize").run(graph, _Batches(self._taken()))
        quantized = sum(n.op.level == "quantized" for n in graph.nodes)
        silent = [r["node"] for r in rows_of(graph) if r["not quantized"] == "quantize did not meet it"]
        lowered = mase.lower(graph, source_model=self._model)
        leaves, _ = flatten(called(lowered, self._taken(), train=False))
        finite = all(bool(torch.isfinite(x).all()) for x in leaves if isinstance(x, torch.Tensor))
        gradients, changed, _ = _trained(lowered, self._taken())
        nan = [k for k, g in gradients.items() if not bool(torch.isfinite(g).all())]
        if not quantized or not finite or not changed or nan or silent:
            learns = f"{changed} weights change, not finite: {nan[:2]}"
            return f"{quantized} ops, finite: {finite}, {learns}, without a reason: {silent[:3]}"
        return ""


class _Batches(pl.LightningDataModule):
    """One batch, by the names of the model's arguments."""

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        super().__init__()
        self._arguments = arguments

    def train_dataloader(self) -> Any:
        return [self._arguments]


def called(module: nn.Module, arguments: Mapping[str, Any], *, train: bool) -> Any:
    """The result of a copy of a module in a mode, with a fixed seed."""
    module = copy.deepcopy(module).train(train)
    torch.manual_seed(7)
    with torch.no_grad():
        return module(**copy.deepcopy(dict(arguments)))


def difference(expected: Any, found: Any) -> str:
    """Why two results are not the same; "" if they are, but for the last bits."""
    (a, structure), (b, other) = flatten(expected), flatten(found)
    if structure != other:
        return "another structure"
    for x, y in zip(a, b, strict=True):
        if not isinstance(x, torch.Tensor):
            if x != y:
                return f"{y} for {x}"
        elif x.dtype != y.dtype or x.shape != y.shape:
            return f"{y.dtype} {tuple(y.shape)} for {x.dtype} {tuple(x.shape)}"
        elif not torch.allclose(x, y, 1e-5, 1e-6, equal_nan=True):
            return f"by {float((x - y).abs().max()):.1e} of {float(x.abs().max()):.1e}"
    return ""


def _trained(module: nn.Module, arguments: Mapping[str, Any]) -> tuple[dict[str, torch.Tensor], int, int]:
    """The gradients of a step in training, how many weights it changes, and of how many."""
    module = copy.deepcopy(module).train()
    torch.manual_seed(3)
    leaves, _ = flatten(module(**copy.deepcopy(dict(arguments))))
    losses = [
        (x.double() - 1).square().mean() for x in leaves if isinstance(x, torch.Tensor) and x.requires_grad
    ]
    torch.stack(losses).sum().backward()
    gradients = {k: p.grad for k, p in module.named_parameters() if p.grad is not None}
    before = {k: p.detach().clone() for k, p in module.named_parameters()}
    torch.optim.SGD(module.parameters(), lr=0.1).step()
    changed = sum(not torch.equal(p, before[k]) for k, p in module.named_parameters())
    return gradients, changed, len(before)


def _reason(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


def peak_memory() -> float:
    """The most memory that this process has held, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20

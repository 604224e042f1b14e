"""From an ``nn.Module`` to a graph: `trace`, and `capture` for callers that want to know what happened."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict, Unpack, get_args

import torch
from torch import nn

from mase.frontends.arguments import Arguments
from mase.frontends.counters import fuse_batch_counters
from mase.frontends.dynamic import Dynamic, DynamicShapes
from mase.frontends.exported import trace_exported
from mase.frontends.importer import Importer
from mase.frontends.leaves import find_leaves
from mase.frontends.locations import culprit_location
from mase.frontends.promote import culprit, result_by_example
from mase.frontends.rules.base import Mode
from mase.frontends.session import ShapeRule
from mase.frontends.symbolic import trace_symbolic
from mase.frontends.transient import fill_transient
from mase.frontends.weights import declare_weights
from mase.ir.diagnostics import Diagnostic, MaseError, Severity, did_you_mean
from mase.ir.graph import Graph
from mase.ir.op import Level

__all__ = ["Capture", "CaptureOptions", "CaptureWarning", "Tracer", "capture", "trace"]

Tracer = Literal["export", "fx"]
_TRACERS: tuple[str, ...] = get_args(Tracer)
_MAX_PROMOTIONS = 16


class CaptureWarning(UserWarning):
    """Something about a captured graph that its user should know, such as a module that stayed opaque."""


@dataclass(frozen=True)
class Capture:
    """A captured graph and what there is to say about it.

    Args:
        graph: the graph.
        mode: the mode that the model was traced in.
        notes: modules that stayed opaque, sizes that became constant, a mode that could not be traced.
    """

    graph: Graph
    mode: Mode
    notes: list[Diagnostic] = field(default_factory=list[Diagnostic])


class CaptureOptions(TypedDict, total=False):
    """The options of `capture` that `trace` takes too."""

    dynamic: DynamicShapes | None
    tracer: Tracer
    opaque: Collection[str]
    name: str | None


def trace(
    model: nn.Module,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    **options: Unpack[CaptureOptions],
) -> Graph:
    """Capture a model as a graph; its weights are shared with the model, not copied.

    Args:
        model: see `capture`.
        args: see `capture`.
        kwargs: see `capture`.
        options: those of `capture`, less ``mode``.

    Raises:
        MaseError: see `capture`.

    Warns:
        CaptureWarning: for each of the `Capture.notes`.

    Example:
        >>> import torch
        >>> graph = trace(nn.Sequential(nn.Linear(4, 2), nn.ReLU()), (torch.zeros(3, 4),))
        >>> for node in graph.nodes:
        ...     print(node)
        %input: f32[N,4] = core.input()
        %_0: f32[N,2] = nn.linear(%input)
        %_1: f32[N,2] = nn.relu(%_0)
    """
    result = capture(model, args, kwargs, **options)
    for note in result.notes:
        warnings.warn(str(note), CaptureWarning, stacklevel=2)
    return result.graph


def capture(
    model: nn.Module,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    dynamic: DynamicShapes | None = None,
    tracer: Tracer = "export",
    opaque: Collection[str] = (),
    name: str | None = None,
    mode: Mode | None = None,
) -> Capture:
    """Capture a model as a graph, and tell how.

    Args:
        model: the model, on any device (``meta`` too: then the weights have types and no values).
        args: example positional arguments. What is no tensor becomes part of the graph.
        kwargs: example keyword arguments.
        dynamic: names of symbolic sizes, ``{"input_ids": {0: "N", 1: "L"}}``. None names the batch,
            dimension 0 of every input as long as the first one, ``N``. Example sizes must be at least 2.
        tracer: ``"export"`` (``torch.export``: control flow on shapes, ``**kwargs``, Hugging Face models)
            or ``"fx"`` (``torch.fx.Tracer``: follows the model's own fx rules, such as ``fx.wrap``).
        opaque: paths of modules to keep whole, each as one ``torch.module`` node.
        name: the graph's name; the class name of the model when absent.
        mode: the side of ``if self.training:`` to follow; ops such as dropout obey the mode of the
            lowered module either way. None tries ``"train"`` and, where that fails, ``"eval"``.

    Raises:
        MaseError: if the arguments do not fit, or the model cannot be traced even with the module that
            hinders it kept whole; it names the module and the line.
    """
    if tracer not in _TRACERS:
        raise MaseError.of(f"unknown tracer {tracer!r}", help=did_you_mean(tracer, _TRACERS))
    arguments = Arguments(model, args, kwargs)
    attempt = _Attempt(model, arguments, Dynamic(arguments, dynamic), tracer, list(opaque), name)
    with _flags_restored(model):
        return attempt.run(mode)


@dataclass
class _Attempt:
    """Traces until it works: in train mode, in eval mode, with ever more modules kept whole."""

    model: nn.Module
    arguments: Arguments
    dynamic: Dynamic
    tracer: Tracer
    opaque: list[str]
    name: str | None
    rules: dict[str, ShapeRule] = field(default_factory=dict[str, ShapeRule])
    notes: list[Diagnostic] = field(default_factory=list[Diagnostic])

    def run(self, mode: Mode | None) -> Capture:
        modes: list[Mode] = ["train", "eval"] if mode is None else [mode]
        for promotion in range(_MAX_PROMOTIONS + 1):
            first: Exception | None = None
            for tried in modes if promotion == 0 else modes[:1]:
                try:
                    graph = self._trace(tried)
                except MaseError:
                    raise
                except Exception as error:  # noqa: BLE001 - a trace fails in as many ways as models do
                    first = first or error
                    continue
                if first is not None:
                    self._note(f"traced in eval mode, as train mode fails: {_reason(first)}", first)
                return Capture(graph, tried, self.notes)
            assert first is not None
            self._promote(first)
        raise MaseError.of(f"cannot trace {type(self.model).__name__}: too many of its modules fail")

    def _trace(self, mode: Mode) -> Graph:
        self.model.train(mode == "train")
        leaves = find_leaves(self.model, self.opaque)
        graph = Graph(self.name or type(self.model).__name__)
        declare_weights(graph.state, self.model)
        missing = fill_transient(graph.state, self.model)
        if self.tracer == "fx":
            traced = trace_symbolic(self.model, self.arguments, self.dynamic, leaves, self.rules)
        else:
            traced = trace_exported(self.model, self.arguments, self.dynamic, leaves, self.rules)
        dims, fixed = self.dynamic.dims(traced.inputs())
        self._check_fixed(fixed)
        traced.build(Importer(graph, dims, mode, traced.prefix), self.arguments)
        _drop_unused(graph)
        fuse_batch_counters(graph)
        graph.level = _level(graph)
        self._note_missing(missing, graph)
        return graph

    def _note_missing(self, missing: list[str], graph: Graph) -> None:
        """Tell of buffers that have no value, as the model is on the meta device, and that no file holds."""
        used = {key for node in graph.nodes for key in node.params.values()}
        for key in (k for k in missing if k in used):
            self._note(f"buffer {key!r} has no value and belongs to no state_dict: set graph.state[{key!r}]")

    def _check_fixed(self, fixed: list[str]) -> None:
        """Sizes that were to be symbolic: an error if the user named them, else a note."""
        if self.dynamic.remark:
            self._note(self.dynamic.remark)
        for text in fixed:
            message = f"input {text}, for the model works with no other size"
            if self.dynamic.asked:
                raise MaseError.of(f"dynamic: {message}", help="leave this dimension out of dynamic=")
            self._note(message)

    def _promote(self, error: Exception) -> None:
        """Keep the module that hinders the trace whole, or say that it cannot be traced."""
        leaves = find_leaves(self.model, self.opaque)
        path = culprit(error, self.model, [p for p, leaf in leaves.items() if leaf.op is None], self.rules)
        if path is None:
            raise self._failure(path, error) from error
        try:
            self.rules[path] = result_by_example(self.model, path, *self.arguments.fresh())
        except Exception as second:  # noqa: BLE001 - the user's own code
            raise self._failure(path, second) from error
        self.opaque = [p for p in self.opaque if not p.startswith(f"{path}.")]
        if path not in self.opaque:
            self.opaque.append(path)
            kind = type(self.model.get_submodule(path)).__name__
            self._note(f"module {path!r} ({kind}) cannot be traced and stays opaque: {_reason(error)}", error)

    def _note(self, message: str, error: Exception | None = None) -> None:
        where = culprit_location(error) if error else None
        self.notes.append(Diagnostic(message, Severity.WARNING, source=where))

    def _failure(self, path: str | None, error: Exception) -> MaseError:
        model = type(self.model).__name__
        what = f"module {path!r} of {model}" if path else model
        other = "export" if self.tracer == "fx" else "fx"
        remedy = (
            f'keep it whole with opaque=("{path}",)'
            if path and path not in self.opaque
            else (
                "move the code that fails into a submodule and keep that whole with "
                f'opaque=("name",), or use tracer="{other}"'
            )
        )
        if self._fails_anyway():
            given = ", ".join(f"{a.name} of shape {list(a.value.shape)}" for a in self.arguments.tensors)
            remedy = f"it fails without being traced, too, on {given}: give it inputs that it takes"
        return MaseError.of(
            f"cannot trace {what}: {_reason(error)}", source=culprit_location(error), help=remedy
        )

    def _fails_anyway(self) -> bool:
        """Whether the model raises when it is simply called."""
        if any(tensor.is_meta for tensor in (*self.model.parameters(), *self.model.buffers())):
            return False  # it cannot be called
        args, kwargs = self.arguments.fresh()
        with _flags_restored(self.model), torch.no_grad(), torch.random.fork_rng():  # pyright: ignore[reportUnknownMemberType]
            try:
                self.model.eval()(*args, **kwargs)
            except Exception:  # noqa: BLE001 - the user's own code
                return True
        return False


def _reason(error: BaseException) -> str:
    """The first line of an exception, as a clause."""
    while error.__cause__ is not None:
        error = error.__cause__
    if type(error).__name__ == "GuardOnDataDependentSymNode":
        return "its control flow depends on the values of tensors"
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].rstrip('.')}" if lines else type(error).__name__


def _drop_unused(graph: Graph) -> None:
    """Erase weights that became a role of an op, and calls whose result the trace found constant."""
    for node in reversed(list(graph.nodes)):
        idle = not node.users and node not in graph.outputs
        if idle and node.op.pure and node.op.name in ("core.parameter", "core.getitem", "torch.call"):
            graph.erase(node)


def _level(graph: Graph) -> Level:
    """The lowest level that every op may occur at."""
    present = {node.op.level for node in graph.nodes}
    levels: tuple[Level, ...] = get_args(Level)
    return next(level for level in reversed(levels) if level in present)


@contextmanager
def _flags_restored(model: nn.Module) -> Generator[None]:
    """Put the training flag of every module back, whatever happens."""
    flags = {module: module.training for module in model.modules()}
    try:
        yield
    finally:
        for module, training in flags.items():
            module.training = training

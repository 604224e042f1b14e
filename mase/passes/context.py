"""The context of a run: what a pass may use beside the graph, and where it leaves what it found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mase.ir.diagnostics import Diagnostic, MaseError, Severity
from mase.ir.graph import Graph, Node
from mase.passes.analysis import Analyses

if TYPE_CHECKING:
    from pytorch_lightning import LightningDataModule
    from rich.console import Console
    from torch.fx import GraphModule
    from torch.nn import Module

__all__ = ["Context"]

T = TypeVar("T")


class Context:
    """What the passes of one run share.

    Args:
        graph: the graph that the passes change.
        data: the data set; built from the graph's ``[data]`` when first asked for if absent.
        seed: seeds everything random.
        output_dir: the folder for files that passes write; None when the run keeps none.
        base_dir: the folder that relative file names in the graph's ``[model]`` start from.
        console: where passes print tables; standard error if absent.
        cut_off: whether this command ran before and was cut off before it kept its result.

    Example:
        >>> ctx = Context(Graph(), seed=3)
        >>> ctx.stat("clipped", 2)
        >>> ctx.record("accuracy", "float", 0.98)
        >>> ctx.stats[""]["clipped"], ctx.metrics
        (2, {'accuracy': {'float': 0.98}})
    """

    def __init__(
        self,
        graph: Graph,
        *,
        data: LightningDataModule | None = None,
        seed: int = 0,
        output_dir: Path | None = None,
        base_dir: Path | None = None,
        console: Console | None = None,
        cut_off: bool = False,
    ) -> None:
        self.graph = graph
        self.cut_off = cut_off
        self.seed = seed
        self.output_dir = output_dir
        self.base_dir = base_dir
        self.pass_name = ""
        """The pass that runs now."""
        self.changed = False
        """Whether a pass changed the graph."""
        self.diagnostics: list[Diagnostic] = []
        """Every note and warning so far."""
        self.rejected: dict[tuple[str, str], Diagnostic] = {}
        """Why nodes were left alone, by pass and node."""
        self.stats: dict[str, Counter[str]] = {}
        """The counters of each pass."""
        self.metrics: dict[str, dict[str, float]] = {}
        """What was measured: by metric, then by stage (``float``, ``quantized``, ``trained``)."""
        self.artifacts: dict[Path, str] = {}
        """Files that passes wrote, with what each is."""
        self.analyses = Analyses(graph)
        self._said: set[Diagnostic] = set()
        if data is not None and not hasattr(data, "prepare_data"):
            raise MaseError.of(
                f"data is a {type(data).__name__} and no LightningDataModule",
                help="LightningDataModule.from_datasets(train, val, test) makes one of data sets",
            )
        self._data = data
        self._console = console
        self._model: Module | None = None

    # -- what a pass may use ----------------------------------------------------------------

    @property
    def console(self) -> Console:
        """A rich console on standard error: standard output belongs to the IR."""
        if self._console is None:
            from rich.console import Console

            self._console = Console(stderr=True)
        return self._console

    @property
    def has_data(self) -> bool:
        """Whether `data` has something to give; builds nothing."""
        return self._data is not None or bool(self.graph.header.data)

    @property
    def data(self) -> LightningDataModule:
        """The data set.

        Raises:
            MaseError: if the run has none or its ``[data]`` table is wrong.
        """
        if self._data is None:
            from mase.passes.data import data_of

            self._data = data_of(self.graph.header, self.base_dir, seed=self.seed)
        return self._data

    @property
    def task(self) -> str:
        """The task that the data set is for, such as ``classification``."""
        return getattr(self.data, "task", "classification")

    def lower(self, graph: Graph) -> GraphModule:
        """A module that executes a graph.

        Args:
            graph: the graph; one with opaque modules needs its source model.

        Raises:
            MaseError: if it cannot be lowered.
        """
        from mase.runtime.lower import lower

        return lower(graph, source_model=self.source_of(graph))

    def source_of(self, graph: Graph) -> Module | None:
        """The user's model if the graph needs it, because it holds opaque modules.

        Raises:
            MaseError: as `source_model`.
        """
        from mase.ir.ops import torch as torch_ops

        return self.source_model() if graph.find(torch_ops.Module) else None

    def source_model(self) -> Module:
        """The user's model, rebuilt from ``[model]`` at the first call.

        Raises:
            MaseError: if the graph does not say where it came from or the source fails.
        """
        if self._model is None:
            from mase.frontends.source import build_model

            self._model = build_model(self.graph.header.model, self.base_dir)
        return self._model

    def analysis(self, analysis: Callable[[Graph], T]) -> T:
        """The result of an analysis for the graph as it is now, computed at most once per version."""
        return self.analyses.get(analysis)

    # -- what a pass leaves -----------------------------------------------------------------

    def stat(self, name: str, n: int = 1) -> None:
        """Add ``n`` to a counter of the current pass (``--stats`` shows them)."""
        self.stats.setdefault(self.pass_name, Counter())[name] += n

    def record(self, metric: str, stage: str, value: float) -> None:
        """Keep a measurement for the table at the end of the run.

        Args:
            metric: its name, such as ``accuracy``.
            stage: what it was measured on, such as ``float``.
            value: a fraction, a loss, a count; no unit is implied.
        """
        self.metrics.setdefault(metric, {})[stage] = value

    def wrote(self, path: Path, what: str) -> Path:
        """Say that a file was written, and return its path.

        Args:
            path: the file or folder.
            what: a few words, such as ``"best checkpoint"``.
        """
        self.artifacts[path] = what
        return path

    def note(self, message: str, node: Node | None = None, *, help: str | None = None) -> None:
        """Say something that the user may like to know."""
        self._diagnose(Severity.NOTE, message, node, help)

    def warn(self, message: str, node: Node | None = None, *, help: str | None = None) -> None:
        """Say something that the user ought to look at; the run goes on."""
        self._diagnose(Severity.WARNING, message, node, help)

    def reject(self, node: Node, reason: str, *, help: str | None = None) -> None:
        """Say why the current pass left a node alone that it might have changed.

        Args:
            node: the node.
            reason: what it lacks or what forbids the change.
            help: how the user could remove the obstacle.
        """
        self.rejected[self.pass_name, node.name] = self._diagnostic(Severity.NOTE, reason, node, help)

    def forget_rejected(self) -> None:
        """Drop what the current pass rejected, because it looks at every node once more."""
        self.rejected = {key: d for key, d in self.rejected.items() if key[0] != self.pass_name}

    def _diagnose(self, severity: Severity, message: str, node: Node | None, help: str | None) -> None:
        found = self._diagnostic(severity, message, node, help)
        if found not in self._said:
            self._said.add(found)
            self.diagnostics.append(found)

    def _diagnostic(
        self, severity: Severity, message: str, node: Node | None, help: str | None
    ) -> Diagnostic:
        said = f"{self.pass_name}: {message}" if self.pass_name else message
        name, source = (node.name, node.loc) if node else (None, None)
        return Diagnostic(said, severity, node=name, source=source, help=help)

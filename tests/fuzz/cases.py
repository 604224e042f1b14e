"""A random model with random formats, and what became of its executions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mase.ir.toml_values import toml_inline
from tests.fuzz.formats import random_options
from tests.fuzz.models import DEEPEST, Net, random_model

__all__ = ["Case", "Finding"]


@dataclass(frozen=True)
class Case:
    """A model with its formats.

    Args:
        kind: of the formats, a key of `tests.fuzz.formats.KINDS`.
        seed: what model and formats depend on.
        depth: the most steps of the model.
    """

    kind: str
    seed: int
    depth: int = DEEPEST

    @property
    def command(self) -> str:
        """What runs the case alone."""
        depth = f" --depth {self.depth}" * (self.depth < DEEPEST)
        return f"python -m tests.fuzz {self.kind} {self.seed}{depth}"

    def model(self) -> Net:
        return random_model(self.seed, self.depth)

    def options(self, net: Net) -> dict[str, Any]:
        """The options of ``quantize``."""
        return random_options(self.kind, len(net.steps), self.seed)

    @property
    def folds(self) -> bool:
        """Whether batch norms are folded before."""
        return self.seed % 4 > 0

    def __str__(self) -> str:
        net = self.model()
        fold = "fold-batchnorm," * self.folds
        return f"{self.command}\n{net}\n{fold}quantize{toml_inline(self.options(net))}"


@dataclass(frozen=True)
class Finding:
    """What became of an execution that did not give the same numbers.

    Args:
        stage: which execution.
        what: ``differs``, ``fails``, ``refused``, or ``skipped`` by an engine that is known to be wrong.
        text: the first difference, the end of the traceback, or the reason.
        node: the node that a refusal names.
    """

    stage: str
    what: str
    text: str
    node: str | None = None

    @property
    def bad(self) -> bool:
        """Whether it breaks the promise: a refusal does if it names no node."""
        return self.what in ("differs", "fails") or (self.what == "refused" and self.node is None)

    def __str__(self) -> str:
        return f"{self.stage} {self.what}: {self.text}" + f" [{self.node}]" * (self.node is not None)

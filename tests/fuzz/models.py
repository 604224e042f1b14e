"""Random small models of the ops that mase computes in integers, each the same again for the same seed.

A model is a list of steps, and that of a smaller ``depth`` is the beginning of the same list: what fails
is made small by leaving out its end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor, nn

from tests.fuzz.makers import MAKERS, joining
from tests.fuzz.parts import settle

__all__ = ["DEEPEST", "ROWS", "Net", "random_model"]

DEEPEST = 7
"""The most steps of a model."""
ROWS = 9
"""Of a table that indices are looked up in."""
_BATCH = 2
_LARGEST = 400  # how many numbers a value has for one sample

_SIZES: dict[str, Callable[[Random], tuple[int, ...]]] = {
    "image": lambda r: (r.choice([1, 2, 3, 4]), r.randint(4, 9), r.randint(4, 9)),
    "line": lambda r: (r.choice([1, 2, 4, 6]), r.randint(5, 16)),
    "sequence": lambda r: (r.randint(2, 6), r.choice([4, 6, 8])),
    "row": lambda r: (r.randint(2, 24),),
    "tokens": lambda r: (r.randint(2, 6),),
}
_OFTEN = ["image", "image", "line", "tokens", "sequence", "sequence", "row"]


@dataclass(frozen=True)
class Step:
    """A module, and which of the values before it it takes."""

    module: nn.Module
    operands: tuple[int, ...]


class Net(nn.Module):
    """Steps in order.

    Args:
        inputs: examples of its inputs, one or two.
        steps: what is computed from them.
        seen: a value that is a result beside the last one; None for no other.
    """

    def __init__(self, inputs: list[Tensor], steps: list[Step], seen: int | None) -> None:
        super().__init__()
        self.inputs, self.seen = inputs, seen
        self.steps = nn.ModuleList(step.module for step in steps)
        self.operands = [step.operands for step in steps]

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        values = [x] if y is None else [x, y]
        for module, operands in zip(self.steps, self.operands, strict=True):
            values.append(module(*(values[i] for i in operands)))
        return values[-1] if self.seen is None else (values[-1], values[self.seen])

    def __str__(self) -> str:
        lines = [f"v{i} = input {tuple(x.shape)} {x.dtype}" for i, x in enumerate(self.inputs)]
        for i, (module, operands) in enumerate(zip(self.steps, self.operands, strict=True)):
            names = ", ".join(f"v{j}" for j in operands)
            lines.append(f"v{len(lines)} = steps.{i}: {module}({names})")
        return "\n".join([*lines, f"return v{len(lines) - 1}" + f", v{self.seen}" * (self.seen is not None)])


def random_model(seed: int, depth: int = DEEPEST) -> Net:
    """A model in evaluation mode, with weights.

    Args:
        seed: what it depends on.
        depth: the most steps that it has.
    """
    rng = Random(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return _Builder(rng).build(min(rng.randint(1, DEEPEST), depth)).eval()


class _Builder:
    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.values: list[Tensor] = []
        self.steps: list[Step] = []

    def build(self, depth: int) -> Net:
        kind, rng = self.rng.choice(_OFTEN), self.rng
        shape = (_BATCH, *_SIZES[kind](rng))
        self.values = [torch.randint(ROWS, shape) if kind == "tokens" else torch.randn(shape)]
        shows, second = rng.random() < 0.1, rng.random() < 0.1 and kind != "tokens"
        if second:
            self.values.append(torch.randn(shape))
            self._add(joining(rng, len(shape)), 0, 1)  # so that neither is idle
        inputs = self.values[: 1 + second]
        for _ in range(depth - len(self.steps)):
            self._grow(Random(rng.random()))
        seen = len(inputs) if shows and len(self.steps) > 1 else None
        return Net(inputs, self.steps, seen)

    def _grow(self, rng: Random) -> None:
        """Add a step that fits what is there; try until one does."""
        for _ in range(40):
            latest = len(self.values) - 1
            at = latest if rng.random() < 0.8 else rng.randint(0, latest)
            x = self.values[at]
            if not x.is_floating_point():
                self._add(nn.Embedding(ROWS, rng.choice([4, 6, 8])), at)
                return
            if rng.random() < 0.2:
                alike = [i for i, v in enumerate(self.values) if v.dtype == x.dtype and v.shape == x.shape]
                operands, made = (at, rng.choice(alike)), joining(rng, x.dim())
            else:
                operands, made = (at,), rng.choice(MAKERS[x.dim()])(rng, tuple(x.shape[1:]))
            if made is not None and self._add(made, *operands):
                return

    def _add(self, module: nn.Module, *operands: int) -> bool:
        """Whether the module takes such values, and what it gives is neither empty nor large."""
        settle(module)
        try:
            with torch.no_grad():
                value = module.eval()(*(self.values[i] for i in operands))
        except (RuntimeError, ValueError):  # what torch says of sizes that do not fit
            return False
        if not 2 <= value[0].numel() <= _LARGEST:
            return False
        self.steps.append(Step(module, operands))
        self.values.append(value)
        return True

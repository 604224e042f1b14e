"""From samples of different lengths to one batch of tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

__all__ = ["IGNORED", "Pad"]

IGNORED = -100
"""The label of what is not to be learnt or measured."""


@dataclass(frozen=True)
class Pad:
    """Stacks samples, mappings of numbers or of lists of numbers; lists become equally long.

    Args:
        fill: what stands in the places that a list does not reach, by name; 0 for other names.
        length: how long the lists become; as long as the longest of the batch if None.
        left: whether the fill comes first.

    Example:
        >>> pad = Pad({"input_ids": 9, "labels": IGNORED})
        >>> pad([{"input_ids": [1, 2], "labels": 0}, {"input_ids": [3], "labels": 1}])
        {'input_ids': tensor([[1, 2],
                [3, 9]]), 'labels': tensor([0, 1])}
    """

    fill: Mapping[str, int] = field(default_factory=dict[str, int])
    length: int | None = None
    left: bool = False

    def __call__(self, samples: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        return {name: self._stack(name, [sample[name] for sample in samples]) for name in samples[0]}

    def _stack(self, name: str, values: list[Any]) -> Tensor:
        if not isinstance(values[0], Sequence):
            return torch.tensor(values)
        length = self.length or max(len(row) for row in values)
        batch = torch.full((len(values), length), self.fill.get(name, 0), dtype=torch.int64)
        for line, row in zip(batch, values, strict=True):
            cells = torch.tensor(row, dtype=torch.int64)
            if self.left:
                line[length - len(cells) :] = cells
            else:
                line[: len(cells)] = cells
        return batch

"""One long row of tokens, seen through windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from mase.ir.diagnostics import MaseError
from mase.runtime.data.text.padding import IGNORED

__all__ = ["Windows", "joined"]


@dataclass(frozen=True)
class Windows(Dataset[dict[str, list[int]]]):
    """Windows over tokens, each ``length`` long; ``labels`` are the tokens themselves.

    Args:
        tokens: all of them, one text after the other.
        length: tokens in a window.
        stride: from the start of a window to that of the next. Where it is shorter than a window, the tokens
            that the window before has seen are context: their label is -100, so that each counts once.
        whole: whether to leave a shorter last window out.
        count: how many windows to use, the first ones; all if None.

    Raises:
        MaseError: if the stride is longer than a window, or there are not two tokens.

    Example:
        >>> windows = Windows(np.arange(7), length=4, stride=2)
        >>> [sample["labels"] for sample in (windows[0], windows[1], windows[2])]
        [[0, 1, 2, 3], [-100, -100, 4, 5], [-100, -100, 6]]
        >>> len(Windows(np.arange(7), length=4, stride=4, whole=True))
        1
    """

    tokens: NDArray[np.integer[Any]]
    length: int
    stride: int
    whole: bool = False
    count: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.stride <= self.length:
            raise MaseError.of(
                f"stride is {self.stride}, but a window has {self.length} tokens",
                help="choose a stride from 1 to max_token_len",
            )

    def first(self, count: int) -> Windows:
        """The same with no more than so many windows."""
        return replace(self, count=count)

    def __len__(self) -> int:
        total = len(self.tokens)
        if total < 2:
            return 0
        more = max(0, total - self.length)
        found = 1 + (more // self.stride if self.whole else -(-more // self.stride))
        if not self.whole and self.stride == self.length and total % self.length == 1 and found > 1:
            found -= 1  # a single token, which nothing predicts
        return found if self.count is None else min(found, self.count)

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        start = index * self.stride
        tokens: list[int] = self.tokens[start : start + self.length].tolist()
        seen = self.length - self.stride if index else 0
        return {"input_ids": tokens, "labels": [IGNORED] * seen + tokens[seen:]}


def joined(lists: Any) -> NDArray[np.integer[Any]]:
    """The numbers of a column of lists, one after the other.

    Args:
        lists: an arrow column.
    """
    chunks: Sequence[Any] = lists.chunks
    flat = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in chunks]
    return np.concatenate(flat) if flat else np.zeros(0, np.int64)

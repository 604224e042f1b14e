"""Running text with some tokens hidden, to be guessed from both sides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from torch.utils.data import Dataset

from mase.ir.diagnostics import MaseError
from mase.runtime.data.base import Samples
from mase.runtime.data.shuffle import Shuffle
from mase.runtime.data.text import register_text_task
from mase.runtime.data.text.corpus import Corpus
from mase.runtime.data.text.language import RunningText
from mase.runtime.data.text.padding import IGNORED
from mase.runtime.data.text.windows import Windows

__all__ = ["MaskedLMData"]

_HIDDEN, _RANDOM = 0.8, 0.1  # of the chosen tokens; the rest stay as they are (BERT, section 3.1)


@register_text_task("masked-lm")
class MaskedLMData(RunningText):
    """Windows over running text between the tokenizer's special tokens, with a share of the tokens hidden.

    In training the choice is a new one in each epoch, a function of seed, epoch and window; in evaluation it
    is always the same. Batches hold ``input_ids``, ``attention_mask`` and ``labels`` (samples, tokens); the
    label of a token that was not chosen is -100.

    Args:
        corpus: where the rows come from.
        mask_share: the share of the tokens that is chosen.
        options: those of `RunningText`.

    Raises:
        MaseError: if the share is out of range; at the first use, if the tokenizer has no mask.
    """

    task = "masked-lm"

    def __init__(self, corpus: Corpus, *, mask_share: float = 0.15, **options: Any) -> None:
        super().__init__(corpus, **options)
        if not 0 < mask_share < 1:
            raise MaseError.of(f"mask_share is {mask_share!r}", help="set it between 0 and 1")
        self._share = mask_share

    @property
    def input_types(self) -> Mapping[str, str]:
        return dict.fromkeys(("input_ids", "attention_mask"), f"i64[N,{self.length}]")

    def encode(self, rows: Any, split: str) -> Samples:
        if self.tokenizer.mask_token_id is None:
            raise MaseError.of(
                "the tokenizer has no mask token", help="choose task causal-lm, or another tokenizer"
            )
        before, after = _specials(self.tokenizer)
        inner = self.max_token_len - len(before) - len(after)
        windows = Windows(rows, inner, inner, whole=split == "train")
        seed = self.seed if split == "train" else None
        hide = _Hide(int(self.tokenizer.mask_token_id), len(self.tokenizer), self._share, seed)
        return _Masked(windows, before, after, hide)

    def order(self, samples: Samples, generator: torch.Generator) -> Shuffle:
        return _WithEpoch(cast(Any, samples), seed=self.seed, workers=generator)


class _WithEpoch(Shuffle):
    """Tells the samples which epoch it is, also those that worker processes load."""

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return ((index, self.epoch) for index in super().__iter__())


@dataclass(frozen=True)
class _Hide:
    """Chooses tokens and hides them; ``seed`` is None where the choice is never to change."""

    mask: int
    vocabulary: int
    share: float
    seed: int | None

    def __call__(self, tokens: list[int], epoch: int, index: int) -> tuple[list[int], list[int]]:
        """The tokens as the model sees them, and their labels."""
        given = np.asarray(tokens)
        words = [0, 0, 0, index] if self.seed is None else [1, self.seed, epoch, index]
        chance = np.random.RandomState(words)  # its stream never changes
        chosen = chance.random_sample(len(given)) < self.share
        how, other = chance.random_sample(len(given)), chance.randint(self.vocabulary, size=len(given))
        seen = np.where(chosen & (how < _HIDDEN), self.mask, given)
        seen = np.where(chosen & (how >= _HIDDEN) & (how < _HIDDEN + _RANDOM), other, seen)
        return seen.tolist(), np.where(chosen, given, IGNORED).tolist()


@dataclass(frozen=True)
class _Masked(Dataset[dict[str, list[int]]]):
    windows: Windows
    before: list[int]
    after: list[int]
    hide: _Hide

    def first(self, count: int) -> _Masked:
        return replace(self, windows=self.windows.first(count))

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, list[int]]:
        index, epoch = (key, 0) if isinstance(key, int) else key
        seen, labels = self.hide(self.windows[index]["input_ids"], epoch, index)
        ids = [*self.before, *seen, *self.after]
        labels = [*[IGNORED] * len(self.before), *labels, *[IGNORED] * len(self.after)]
        return {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": labels}


def _specials(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The special tokens before and after a text."""
    [word] = tokenizer(["a"], add_special_tokens=False)["input_ids"]
    [whole] = tokenizer(["a"])["input_ids"]
    at = next(i for i in range(len(whole)) if whole[i : i + len(word)] == word)
    return whole[:at], whole[at + len(word) :]

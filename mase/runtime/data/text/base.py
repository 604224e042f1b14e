"""What every data set of texts shares: a tokenizer, three splits of encoded rows, padded batches."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, cast, get_args

import numpy as np
import torch
from torch.utils.data import DataLoader

from mase.ir.diagnostics import MaseError, did_you_mean
from mase.runtime.data.base import DataModule, Samples, Splits
from mase.runtime.data.shuffle import Shuffle
from mase.runtime.data.text.buckets import Buckets
from mase.runtime.data.text.corpus import Corpus, Rows, quiet
from mase.runtime.data.text.cuts import SPLITS, drawn, named_splits
from mase.runtime.data.text.padding import IGNORED, Pad
from mase.runtime.data.text.tokenizer import digest, load_tokenizer

__all__ = ["Padding", "TextData"]

Padding = Literal["longest", "max"]

_LONG = 512
"""The longest text in tokens where neither the user nor the tokenizer knows one."""


class TextData(DataModule):
    """Base of the data sets of texts: a subclass says which tensors a row becomes.

    Args:
        corpus: where the rows come from.
        tokenizer: a folder or the name of one on the hub; by default that of the ``hf:`` model. From Python,
            a tokenizer of transformers too.
        max_token_len: the longest text in tokens, longer ones are cut; by default what the tokenizer says,
            and 512 at most.
        padding: ``longest`` makes the texts of a batch as long as its longest, ``max`` as long as
            ``max_token_len`` says, so that every batch has one shape.
        bucket: whether batches are of texts that are about equally long.
        splits: which of the source's splits is ``train``, ``val`` and ``test``.
        shares: the share of the training rows to draw for a split that the source lacks, 0.1 by default.
        limit: of a split, use so many samples only, the first ones.
        options: those of every data set.

    Raises:
        MaseError: if an option is out of range; at the first use, if the rows or the tokenizer cannot be had.
    """

    bucketed = True
    """Whether samples differ in length, so that ``bucket`` makes sense."""

    def __init__(
        self,
        corpus: Corpus,
        *,
        tokenizer: Any = None,
        max_token_len: int | None = None,
        padding: Padding = "longest",
        bucket: bool = False,
        splits: Mapping[str, str] | None = None,
        shares: Mapping[str, float] | None = None,
        limit: Mapping[str, int] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.corpus = corpus
        self._tokenizer, self._longest = tokenizer, max_token_len
        self.padding, self.bucket = padding, bucket
        self._chosen, self._shares, self._limit = splits or {}, shares or {}, limit or {}
        self._lengths: dict[int, Sequence[int]] = {}
        self._check_options()

    def _check_options(self) -> None:
        if self._longest is not None and (type(self._longest) is not int or self._longest < 2):
            raise MaseError.of(f"max_token_len is {self._longest!r}", help="set it to an integer above 1")
        if self.padding not in get_args(Padding):
            raise MaseError.of(
                f"padding is {self.padding!r}", help=did_you_mean(str(self.padding), get_args(Padding))
            )
        if self.bucket and not self.bucketed:
            raise MaseError.of(
                f"bucket has no effect on {self.task}: its samples are equally long", help="leave it out"
            )
        for option, table in (("shares", self._shares), ("limit", self._limit)):
            for split in table:
                if split not in SPLITS:
                    raise MaseError.of(
                        f"[data] {option}: no split {split!r}", help=did_you_mean(split, SPLITS)
                    )

    # -- what a subclass says ---------------------------------------------------------------------

    @property
    @abstractmethod
    def input_types(self) -> Mapping[str, str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The types of the inputs, as `DataModule` wants them."""

    @abstractmethod
    def encode(self, rows: Any, split: str) -> Samples:
        """The samples of a split: mappings of numbers or lists of numbers, with ``select`` or ``first``."""

    # -- what all share ---------------------------------------------------------------------------

    @cached_property
    def tokenizer(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The tokenizer.

        Raises:
            MaseError: if none is named or it cannot be read.
        """
        given = self._tokenizer
        return (
            given if given is not None and not isinstance(given, str) else load_tokenizer(given, self.place)
        )

    def located(self) -> Mapping[str, str]:
        source, named = self.place(self.corpus.target), self._tokenizer
        found = {"source": f"{self.corpus.kind}:{source}"} if source.exists() else {}
        if isinstance(named, str) and self.place(named).exists():
            found["tokenizer"] = str(self.place(named))
        return found

    @property
    def max_token_len(self) -> int:
        """The longest text, in tokens."""
        return self._longest or min(int(self.tokenizer.model_max_length), _LONG)

    @property
    def length(self) -> str:
        """The size of a text in types: a number if all are padded to it, else ``L``."""
        return str(self.max_token_len) if self.padding == "max" else "L"

    @cached_property
    def source(self) -> Mapping[str, Rows]:
        """The rows of those splits that the corpus has."""
        return named_splits(self.corpus.read(self.place), self._chosen)

    @cached_property
    def rows(self) -> Mapping[str, Any]:
        """What `encode` gets for each of the three splits."""
        return drawn(self.source, self._shares)

    def load(self) -> Splits:
        found = {split: self._limited(split, self.encode(self.rows[split], split)) for split in SPLITS}
        return Splits(**found)

    def _limited(self, split: str, samples: Any) -> Samples:
        if split not in self._limit:
            return samples
        count = min(len(samples), self._limit[split])
        return samples.select(range(count)) if hasattr(samples, "select") else samples.first(count)

    @cached_property
    def collate(self) -> Callable[[list[Any]], Any]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Pads on the side that the tokenizer pads."""
        pad = self.tokenizer.pad_token_id
        return Pad(
            {"input_ids": 0 if pad is None else pad, "labels": IGNORED},
            length=self.max_token_len if self.padding == "max" else None,
            left=self.tokenizer.padding_side == "left",
        )

    def column(self, asked: str | None, usual: Sequence[str], what: str) -> str:
        """The name of a column: what the user said, else the first usual one that there is.

        Raises:
            MaseError: if there is no such column.
        """
        known: list[str] = list(self.source["train"].column_names)
        name = asked or next((name for name in usual if name in known), None)
        if name is None:
            raise MaseError.of(
                f"data set {self.name!r} has no column of {what} among {', '.join(known)}",
                help=f'name it: {what} = "COLUMN" under [data]',
            )
        if name not in known:
            raise MaseError.of(
                f"data set {self.name!r} has no column {name!r}", help=did_you_mean(name, known)
            )
        return name

    def mapped(self, rows: Rows, encode: Callable[[Any], Any], *settings: Any) -> Rows:
        """The rows as ``encode`` makes them of a batch of rows; kept by the library, which finds them again.

        Args:
            rows: the rows.
            encode: from columns to columns.
            settings: what else decides the result, beside the rows and the tokenizer.
        """
        # The library's own hash of the function would differ after each call of a fast tokenizer.
        name = digest(self.tokenizer, rows._fingerprint, type(self).__name__, *settings)
        with quiet():
            return rows.map(encode, batched=True, remove_columns=rows.column_names, new_fingerprint=name)

    # -- order ------------------------------------------------------------------------------------

    def order(self, samples: Samples, generator: torch.Generator) -> Shuffle:
        if not self.bucket:
            return super().order(samples, generator)
        return Buckets(
            self._lengths_of(samples), batch_size=self.batch_size, seed=self.seed, workers=generator
        )

    def val_dataloader(self) -> DataLoader[Any]:
        return self._loader(self.splits.val, sampler=self._sorted(self.splits.val))

    def test_dataloader(self) -> DataLoader[Any]:
        return self._loader(self.splits.test, sampler=self._sorted(self.splits.test))

    def _sorted(self, samples: Samples) -> Sequence[int] | None:
        """Where batches are bucketed, evaluation goes from the longest to the shortest."""
        if not self.bucket:
            return None
        return np.argsort(-np.asarray(self._lengths_of(samples)), kind="stable").tolist()

    def _lengths_of(self, samples: Samples) -> Sequence[int]:
        found = self._lengths.get(id(samples))
        if found is None:
            ids = cast(Any, samples)["input_ids"]
            found = self._lengths[id(samples)] = [len(row) for row in ids]
        return found

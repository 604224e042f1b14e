"""Texts of which each word has a label: names in a sentence, parts of speech."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from mase.ir.diagnostics import MaseError
from mase.runtime.data.base import Samples
from mase.runtime.data.text import register_text_task
from mase.runtime.data.text.base import TextData
from mase.runtime.data.text.corpus import Corpus, Rows
from mase.runtime.data.text.labels import Labels
from mase.runtime.data.text.padding import IGNORED

__all__ = ["TokenClassificationData"]


@register_text_task("token-classification")
class TokenClassificationData(TextData):
    """A list of words and a list of their labels in each row.

    The first token of a word has the word's label; further tokens, the special ones and the padding have
    -100, which neither loss nor metrics count. Batches hold ``input_ids``, ``attention_mask`` and ``labels``,
    all (samples, tokens).

    Args:
        corpus: where the rows come from.
        text: the column of the words; ``tokens`` or ``words`` by default.
        label: the column of the labels; ``ner_tags``, ``tags``, ``pos_tags`` or ``labels`` by default.
        options: those of `TextData`.
    """

    task = "token-classification"

    def __init__(
        self, corpus: Corpus, *, text: str | None = None, label: str | None = None, **options: Any
    ) -> None:
        super().__init__(corpus, **options)
        self._text, self._label = text, label

    @property
    def input_types(self) -> Mapping[str, str]:
        return dict.fromkeys(("input_ids", "attention_mask"), f"i64[N,{self.length}]")

    @cached_property
    def labels(self) -> Labels:
        """The labels by number."""
        return Labels.of(self.rows, self._label_column, nested=True)

    @property
    def num_classes(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """How many labels there are."""
        return len(self.labels.names)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the labels, by number."""
        return self.labels.names

    @property
    def _label_column(self) -> str:
        return self.column(self._label, ("ner_tags", "tags", "pos_tags", "labels"), "label")

    def encode(self, rows: Rows, split: str) -> Samples:
        if not self.tokenizer.is_fast:
            raise MaseError.of(
                f"{type(self.tokenizer).__name__} does not tell which word a token belongs to",
                help="name a fast tokenizer (a folder with tokenizer.json) under [data] tokenizer",
            )
        text, label = self.column(self._text, ("tokens", "words"), "text"), self._label_column
        self.labels.check(rows, label, split, nested=True)

        def tokens(columns: Any) -> dict[str, Any]:
            words = [list(row) for row in columns[text]]
            made = self.tokenizer(
                words, is_split_into_words=True, truncation=True, max_length=self.max_token_len
            )
            labels = [
                _aligned(made.word_ids(i), self.labels.numbers(row)) for i, row in enumerate(columns[label])
            ]
            return {
                "input_ids": made["input_ids"],
                "attention_mask": made["attention_mask"],
                "labels": labels,
            }

        return self.mapped(rows, tokens, text, label, self.max_token_len, self.labels.names)


def _aligned(words: list[int | None], labels: list[int]) -> list[int]:
    """The label of each token, by the word that it is of."""
    before = [None, *words[:-1]]
    return [
        IGNORED if word is None or word == last else labels[word]
        for word, last in zip(words, before, strict=True)
    ]

"""Texts, or pairs of texts, each with a label; or with a number to predict."""

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

__all__ = ["TextClassificationData", "TextRegressionData"]


@register_text_task("text-classification", "sequence-classification")
class TextClassificationData(TextData):
    """A text and its label in each row.

    Batches hold ``input_ids`` and ``attention_mask`` (samples, tokens), for pairs also ``token_type_ids``
    where the tokenizer makes them, and ``labels`` (samples).

    Args:
        corpus: where the rows come from.
        text: the column of the text; ``text`` or ``sentence`` by default.
        text_pair: the column of a second text, if there is one.
        label: the column of the label: numbers from 0, or names.
        options: those of `TextData`.
    """

    task = "text-classification"

    def __init__(
        self,
        corpus: Corpus,
        *,
        text: str | None = None,
        text_pair: str | None = None,
        label: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(corpus, **options)
        self._text, self._pair, self._label = text, text_pair, label

    @property
    def input_types(self) -> Mapping[str, str]:
        return dict.fromkeys(self._inputs, f"i64[N,{self.length}]")

    @cached_property
    def labels(self) -> Labels:
        """The labels by number."""
        return Labels.of(self.rows, self._label_column)

    @property
    def num_classes(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """How many labels there are; 1 if they are numbers to predict."""
        return len(self.labels.names)

    @property
    def _label_column(self) -> str:
        return self.column(self._label, ("label", "labels"), "label")

    @property
    def _inputs(self) -> list[str]:
        made = ("input_ids", "attention_mask", *(("token_type_ids",) if self._pair else ()))
        return [name for name in made if name in self.tokenizer.model_input_names]

    def encode(self, rows: Rows, split: str) -> Samples:
        text = self.column(self._text, ("text", "sentence"), "text")
        pair = self.column(self._pair, (), "text_pair") if self._pair else None
        label, numbered = self._label_column, self._numbered(rows, split)

        def tokens(columns: Any) -> dict[str, Any]:
            made = self.tokenizer(
                list(columns[text]),
                list(columns[pair]) if pair else None,
                truncation=True,
                max_length=self.max_token_len,
            )
            return {**{name: made[name] for name in self._inputs}, "labels": numbered(columns[label])}

        settings = (text, pair, label, self.max_token_len, self._inputs, self._meaning)
        return self.mapped(rows, tokens, *settings)

    @property
    def _meaning(self) -> Any:
        """What the labels depend on, beside the rows."""
        return self.labels.names

    def _numbered(self, rows: Rows, split: str) -> Any:
        labels = self.labels
        labels.check(rows, self._label_column, split)
        return labels.numbers


@register_text_task("regression")
class TextRegressionData(TextClassificationData):
    """A text, or two, and a number to predict in each row, such as how alike two sentences are."""

    task = "regression"

    @property
    def num_classes(self) -> int:
        return 1

    @property
    def _meaning(self) -> Any:
        return "numbers"

    def _numbered(self, rows: Rows, split: str) -> Any:
        column = self._label_column

        def numbers(values: Any) -> list[float]:
            try:
                return [float(value) for value in values]
            except (TypeError, ValueError) as error:
                raise MaseError.of(
                    f"column {column!r} of the {split} split holds no numbers: {error}",
                    help='choose task = "text-classification", or another column with label = "COLUMN"',
                ) from None

        return numbers

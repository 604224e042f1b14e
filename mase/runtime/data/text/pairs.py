"""Texts and what is to be written for each: translations, summaries, any sequence out of another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from mase.ir.diagnostics import MaseError
from mase.runtime.data.base import Samples
from mase.runtime.data.text import register_text_task
from mase.runtime.data.text.base import TextData
from mase.runtime.data.text.checkpoint import decoder_start, search_settings
from mase.runtime.data.text.corpus import Corpus, Rows
from mase.runtime.data.text.padding import IGNORED, Pad

__all__ = ["PairBatches", "PairData", "SummarizationData", "TranslationData"]


@dataclass(frozen=True)
class PairBatches:
    """Makes a batch: pads both sides, and shifts the labels to the right for the decoder.

    Args:
        inputs: pads the sources.
        labels: pads the targets.
        start: what every target begins with, for the decoder.
        pad: what stands in the decoder's inputs where a target has ended.

    Example:
        >>> batches = PairBatches(Pad(), Pad({"labels": IGNORED}), start=2, pad=0)
        >>> sample = {"input_ids": [5], "attention_mask": [1], "labels": [7, 8, 1], "reference": "ab"}
        >>> batch = batches([sample, {**sample, "labels": [7, 1], "reference": "a"}])
        >>> batch["decoder_input_ids"]
        tensor([[2, 7, 8],
                [2, 7, 1]])
        >>> batch["labels"], batch["references"]
        (tensor([[   7,    8,    1],
                [   7,    1, -100]]), ['ab', 'a'])
    """

    inputs: Pad
    labels: Pad
    start: int
    pad: int

    def __call__(self, samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        names = ("input_ids", "attention_mask")
        batch = self.inputs([{name: sample[name] for name in names} for sample in samples])
        labels = self.labels([{"labels": sample["labels"]} for sample in samples])["labels"]
        references = [sample["reference"] for sample in samples]
        return {
            **batch,
            "decoder_input_ids": self._shifted(labels),
            "labels": labels,
            "references": references,
        }

    def _shifted(self, labels: Tensor) -> Tensor:
        start = torch.full_like(labels[:, :1], self.start)
        return torch.cat([start, labels[:, :-1].masked_fill(labels[:, :-1] == IGNORED, self.pad)], 1)


@register_text_task("seq2seq", "seq2seq-lm")
class PairData(TextData):
    """A text and a target text in each row.

    Batches hold ``input_ids`` and ``attention_mask`` (samples, tokens), ``decoder_input_ids`` and ``labels``
    (samples, target tokens), and ``references``, the target texts as they are. The columns of a Hugging Face
    translation set are called ``translation.en`` and so on, or ``en`` for short.

    Args:
        corpus: where the rows come from.
        text: the column of the text.
        target: the column of what is to be written for it.
        prefix: what to put before each text, such as T5's ``"summarize: "``.
        max_target_len: the longest target in tokens, longer ones are cut; by default ``max_token_len``.
        decoder_start_token_id: what the decoder starts with; by default what the configuration of the ``hf:``
            model says, for a new model the tokenizer's start or padding token.
        metrics: scores of what is generated, by the names of `TEXT_SCORES`; by default the task's.
        generate: whether validation and test generate, or which splits do; ``false`` measures the loss only.
        generation: options of the search, by the names of transformers' ``GenerationConfig``:
            ``{ num_beams = 4 }``; by default what the model's authors chose, and ``max_target_len``.
        options: those of `TextData`.
    """

    task = "seq2seq"
    usual: ClassVar[tuple[Sequence[str], Sequence[str]]] = (("text", "source"), ("target",))
    """How the two columns are usually called."""

    def __init__(
        self,
        corpus: Corpus,
        *,
        text: str | None = None,
        target: str | None = None,
        prefix: str = "",
        max_target_len: int | None = None,
        decoder_start_token_id: int | None = None,
        metrics: Sequence[str] | None = None,
        generate: bool | Sequence[str] = True,
        generation: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(corpus, **options)
        if max_target_len is not None and (type(max_target_len) is not int or max_target_len < 2):
            raise MaseError.of(f"max_target_len is {max_target_len!r}", help="set it to an integer above 1")
        self._text, self._target, self.prefix = text, target, prefix
        self._longest_target, self._start = max_target_len, decoder_start_token_id
        self.metrics, self.generate, self._generation = metrics, generate, dict(generation or {})

    @property
    def input_types(self) -> Mapping[str, str]:
        written = str(self.max_target_len) if self.padding == "max" else "M"
        read = f"i64[N,{self.length}]"
        return {"input_ids": read, "attention_mask": read, "decoder_input_ids": f"i64[N,{written}]"}

    @property
    def max_target_len(self) -> int:
        """The longest target, in tokens."""
        return self._longest_target or self.max_token_len

    @cached_property
    def decoder_start_token_id(self) -> int:
        """What the decoder starts with.

        Raises:
            MaseError: if nothing tells.
        """
        known = (self._start, decoder_start(self.model, self.place))
        special = (self.tokenizer.bos_token_id, self.tokenizer.pad_token_id)
        found = next((token for token in (*known, *special) if token is not None), None)
        if found is None:
            raise MaseError.of(
                "the token that the decoder starts with is not known",
                help="set [data] decoder_start_token_id",
            )
        return found

    @cached_property
    def generation(self) -> Mapping[str, Any]:
        """The options of the search: the user's, else those of the model's authors."""
        chosen = {**search_settings(self.model, self.place), **self._generation}
        limited = self._generation.keys() & {"max_length", "max_new_tokens"}
        return chosen if limited else {"max_new_tokens": self.max_target_len, **chosen}

    @cached_property
    def source(self) -> Mapping[str, Rows]:
        """The rows by split; both languages of a translation are columns."""
        return {split: rows.flatten() for split, rows in super().source.items()}

    @cached_property
    def columns(self) -> tuple[str, str]:
        """The columns of the text and of the target.

        Raises:
            MaseError: if there are none, or they are one.
        """
        known: list[str] = list(self.source["train"].column_names)
        languages = [name for name in known if name.startswith("translation.")]
        usual = self.usual
        if len(languages) == 2:
            first, second = languages
            text, target = (self._full(name, known) for name in (self._text, self._target))
            usual = ((second if target == first else first,), (first if text == second else second,))
        found = (
            self.column(self._full(self._text, known), usual[0], "text"),
            self.column(self._full(self._target, known), usual[1], "target"),
        )
        if found[0] == found[1]:
            raise MaseError.of(f"text and target are one column, {found[0]!r}", help="name another target")
        return found

    @staticmethod
    def _full(name: str | None, known: Sequence[str]) -> str | None:
        """A column's whole name where only the language is given."""
        return f"translation.{name}" if f"translation.{name}" in known else name

    def encode(self, rows: Rows, split: str) -> Samples:
        text, target = self.columns
        if self.tokenizer.pad_token_id is None or self.tokenizer.eos_token_id is None:
            raise MaseError.of(
                "the tokenizer has no padding token or no end token, so no target can be generated",
                help="give it pad_token and eos_token and save it again",
            )

        def tokens(columns: Any) -> dict[str, Any]:
            made = self.tokenizer(
                [self.prefix + line for line in columns[text]], truncation=True, max_length=self.max_token_len
            )
            written = self.tokenizer(
                text_target=list(columns[target]), truncation=True, max_length=self.max_target_len
            )
            return {
                "input_ids": made["input_ids"],
                "attention_mask": made["attention_mask"],
                "labels": written["input_ids"],
                "reference": list(columns[target]),
            }

        settings = (text, target, self.prefix, self.max_token_len, self.max_target_len)
        return self.mapped(rows, tokens, *settings)

    @cached_property
    def collate(self) -> PairBatches:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Pads both sides on the right, as encoder-decoders want it."""
        pad, whole = self.tokenizer.pad_token_id, self.padding == "max"
        return PairBatches(
            Pad({"input_ids": pad}, length=self.max_token_len if whole else None),
            Pad({"labels": IGNORED}, length=self.max_target_len if whole else None),
            start=self.decoder_start_token_id,
            pad=pad,
        )


@register_text_task("translation")
class TranslationData(PairData):
    """A text and its translation in each row: ``translation.en``, ``translation.fr``, or columns of text."""

    task = "translation"
    usual = (("text", "source"), ("target", "translation"))


@register_text_task("summarization")
class SummarizationData(PairData):
    """A document and its summary in each row."""

    task = "summarization"
    usual = (("text", "document", "article", "dialogue"), ("target", "summary", "highlights"))

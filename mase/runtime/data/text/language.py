"""Running text, to predict each token from those before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from mase.ir.diagnostics import MaseError
from mase.runtime.data.base import Samples
from mase.runtime.data.text import register_text_task
from mase.runtime.data.text.base import TextData
from mase.runtime.data.text.corpus import Corpus, Rows
from mase.runtime.data.text.cuts import cut_off
from mase.runtime.data.text.padding import IGNORED, Pad
from mase.runtime.data.text.windows import Windows, joined

__all__ = ["CausalLMData", "RunningText"]


class RunningText(TextData):
    """All rows as one long text, cut into windows of ``max_token_len`` tokens.

    A split that the source lacks is the end of the training text.

    Args:
        corpus: where the rows come from.
        text: the column of the text; ``text`` by default.
        eos: whether a token that ends a text comes after each row.
        options: those of `TextData`.
    """

    bucketed = False

    def __init__(self, corpus: Corpus, *, text: str | None = None, eos: bool = False, **options: Any) -> None:
        super().__init__(corpus, **options)
        self._text, self._eos = text, eos

    @cached_property
    def rows(self) -> Mapping[str, Any]:
        """The tokens of the three splits."""
        return cut_off({split: self.tokens(rows) for split, rows in self.source.items()}, self._shares)

    def tokens(self, rows: Rows) -> Any:
        """The tokens of rows, without special ones but for ``eos``.

        Raises:
            MaseError: if ``eos`` is asked for and the tokenizer has no such token.
        """
        text = self.column(self._text, ("text",), "text")
        end = self.tokenizer.eos_token_id if self._eos else None
        if self._eos and end is None:
            raise MaseError.of("eos: the tokenizer has no token that ends a text", help="leave eos out")

        def made(columns: Any) -> dict[str, Any]:
            # Not verbose: that a text is longer than the model can take is known, it will be cut.
            found = self.tokenizer(list(columns[text]), add_special_tokens=False, verbose=False)["input_ids"]
            return {"input_ids": [[*row, end] for row in found] if self._eos else found}

        return joined(self.mapped(rows, made, text, self._eos).data.column("input_ids"))


@register_text_task("causal-lm", "language_modeling", "lm")
class CausalLMData(RunningText):
    """Windows over running text; batches hold ``input_ids`` and ``labels`` (samples, tokens).

    The labels are the tokens; the task shifts them. Training leaves a shorter last window out. There is no
    attention mask: a shorter window is filled at its end, which no token before it sees.

    Args:
        corpus: where the rows come from.
        stride: in evaluation, from the start of a window to that of the next; ``max_token_len`` by default.
            A shorter stride gives each token more context and takes longer.
        options: those of `RunningText`.
    """

    task = "causal-lm"

    def __init__(self, corpus: Corpus, *, stride: int | None = None, **options: Any) -> None:
        super().__init__(corpus, **options)
        self._stride = stride

    @property
    def input_types(self) -> Mapping[str, str]:
        return {"input_ids": f"i64[N,{self.length}]"}

    @cached_property
    def collate(self) -> Callable[[list[Any]], Any]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return Pad({"labels": IGNORED}, length=self.max_token_len if self.padding == "max" else None)

    def encode(self, rows: Any, split: str) -> Samples:
        training, length = split == "train", self.max_token_len
        stride = length if training or self._stride is None else self._stride
        return Windows(rows, length, stride, whole=training)

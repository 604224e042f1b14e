"""Tokenizers made from data, saved as ``save_pretrained`` does, so that mase and transformers load them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

__all__ = ["BYTES", "END", "PAD", "START", "UNKNOWN", "save_bytes_bpe", "save_symbols"]

PAD, START, END, UNKNOWN = "<pad>", "<s>", "</s>", "<unk>"
SPECIAL = (PAD, START, END, UNKNOWN)
BYTES = len(SPECIAL) + 256
"""The size of a vocabulary of bytes, none of them merged."""


def save_symbols(folder: Path, symbols: Sequence[str], pattern: str) -> Path:
    """A tokenizer that knows each symbol by name and joins them with spaces.

    Args:
        folder: where to.
        symbols: all that texts hold.
        pattern: a regular expression of one symbol; what lies between is left out.
    """
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    vocabulary = {symbol: i for i, symbol in enumerate([*SPECIAL, *symbols])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), "removed", invert=True)
    return _save(tokenizer, folder)


def save_bytes_bpe(folder: Path, texts: Iterable[str], size: int) -> Path:
    """A byte-level BPE learnt from texts, which no text is unknown to.

    Args:
        folder: where to.
        texts: what to learn from.
        size: entries of the vocabulary, at most.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return _save(tokenizer, folder)


def _save(tokenizer: Any, folder: Path) -> Path:
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    tokenizer.post_processor = TemplateProcessing(
        single=f"$A {END}", special_tokens=[(END, tokenizer.token_to_id(END))]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, bos_token=START, eos_token=END, unk_token=UNKNOWN
    )
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    fast.save_pretrained(partial)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return folder

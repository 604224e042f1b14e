"""Tiny encoder-decoders of transformers with random weights, and their captured graphs."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    MarianConfig,
    MarianMTModel,
    T5Config,
    T5ForConditionalGeneration,
)

import mase
from mase.ir import Graph

__all__ = ["NAMES", "captured", "model", "sources"]

NAMES = ("bart", "t5", "marian")
_PAIR = {"pad_token_id": 0, "eos_token_id": 2, "vocab_size": 24, "d_model": 16, "use_cache": False}
_TWO_STACKS = {
    **dict.fromkeys(("encoder_layers", "decoder_layers"), 1),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 2),
    **dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim"), 32),
    "max_position_embeddings": 32,
    "init_std": 0.5,  # so that what is generated depends on the source
    "forced_eos_token_id": None,
}


@cache
def model(name: str) -> Any:
    """The model of this name, in evaluation mode."""
    torch.manual_seed(1)
    if name == "t5":
        sizes = {"d_kv": 8, "num_heads": 2, "d_ff": 32, "num_layers": 1, "initializer_factor": 4.0}
        return T5ForConditionalGeneration(T5Config(**_PAIR, **sizes, decoder_start_token_id=0)).eval()
    if name == "bart":
        start = {"bos_token_id": 1, "decoder_start_token_id": 2}
        return BartForConditionalGeneration(BartConfig(**_PAIR, **_TWO_STACKS, **start)).eval()
    return MarianMTModel(MarianConfig(**_PAIR, **_TWO_STACKS, decoder_start_token_id=0)).eval()


def sources(samples: int = 4, length: int = 7) -> dict[str, Tensor]:
    """Random sources, two of them shorter than the others."""
    ids = torch.randint(3, 24, (samples, length), generator=torch.Generator().manual_seed(0))
    ids[0, length // 2 :], ids[1, -1:] = 0, 0
    return {"input_ids": ids, "attention_mask": (ids != 0).long()}


@cache
def captured(name: str) -> Graph:
    """The graph of a model, dynamic in the samples and both lengths."""
    inputs = {**sources(3, 6), "decoder_input_ids": torch.randint(2, 24, (3, 5))}
    names = {key: {0: "N", 1: "M" if "decoder" in key else "L"} for key in inputs}
    return mase.trace(model(name), kwargs=inputs, dynamic=names)

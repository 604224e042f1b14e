"""Architectures of transformers, from configurations with small random weights."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import transformers
from torch import nn

from .base import Architecture
from .libraries import library

__all__ = ["everything"]

WORDS, WIDTH, HEADS, FEATURES = 64, 32, 4, 48
T: Any = transformers
TEXT = {
    "vocab_size": WORDS,
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": HEADS,
    "intermediate_size": FEATURES,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GROUPED = {**TEXT, "num_key_value_heads": 2}
VISION = {
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": HEADS,
    "intermediate_size": FEATURES,
    "image_size": 32,
    "patch_size": 8,
}
PAIR = {
    "vocab_size": WORDS,
    "d_model": WIDTH,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": HEADS,
    "decoder_attention_heads": HEADS,
    "encoder_ffn_dim": FEATURES,
    "decoder_ffn_dim": FEATURES,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 2,
}
T5 = {
    "vocab_size": WORDS,
    "d_model": WIDTH,
    "d_kv": WIDTH // HEADS,
    "d_ff": FEATURES,
    "num_layers": 2,
    "num_heads": HEADS,
    "decoder_start_token_id": 0,
}
WHISPER = {**PAIR, "num_mel_bins": 8, "max_source_positions": 16, "max_target_positions": 32}
MIXTRAL = {**GROUPED, "num_local_experts": 4, "num_experts_per_tok": 2}

L, M, P = {1: "L"}, {1: "M"}, {1: "P"}


def words(batch: int, length: int) -> torch.Tensor:
    """Token indices without special ones."""
    return torch.randint(3, WORDS, (batch, length))


def _text(batch: int, length: int) -> dict[str, Any]:
    mask = torch.ones(batch, length, dtype=torch.long)
    mask[0, -2:] = 0
    return {"input_ids": words(batch, length), "attention_mask": mask}


def _pair(batch: int, length: int) -> dict[str, Any]:
    return {**_text(batch, length), "decoder_input_ids": words(batch, length - 3)}


def _images(size: int, batch: int, length: int) -> dict[str, Any]:
    return {"pixel_values": torch.randn(batch, 3, size, size)}


def _both(batch: int, length: int) -> dict[str, Any]:
    return {**_text(batch, length), **_images(32, batch, length)}


def _speech(batch: int, length: int) -> dict[str, Any]:
    return {"input_features": torch.randn(batch, 8, 32), "decoder_input_ids": words(batch, length)}


def _make(model: str, config: str, settings: dict[str, Any]) -> Callable[[], nn.Module]:
    return lambda: getattr(T, model)(getattr(T, config)(**settings))


def _case(
    model: str, config: str, settings: dict[str, Any], example: Any = _text, **more: Any
) -> Architecture:
    lengths: dict[str, dict[int, str]] = {"input_ids": L, "attention_mask": L, "decoder_input_ids": M}
    name = model + more.pop("suffix", "")
    return Architecture(name, _make(model, config, settings), example, more.pop("lengths", lengths), **more)


def encoders() -> list[Architecture]:
    """Models that read a text as a whole."""
    deberta = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 8}
    distilled = {"dim": WIDTH, "n_layers": 2, "n_heads": HEADS, "hidden_dim": FEATURES}
    return [
        _case("BertModel", "BertConfig", TEXT),
        _case("RobertaForSequenceClassification", "RobertaConfig", TEXT),
        _case("DistilBertModel", "DistilBertConfig", {"vocab_size": WORDS, **distilled}),
        _case("ElectraModel", "ElectraConfig", {**TEXT, "embedding_size": 16}),
        _case("AlbertModel", "AlbertConfig", {**TEXT, "embedding_size": 16}),
        _case("DebertaV2Model", "DebertaV2Config", {**TEXT, **deberta}),
    ]


def images() -> list[Architecture]:
    """Models that look at images of one size."""
    swin = {"image_size": 32, "patch_size": 4, "embed_dim": 16, "window_size": 4}
    small, large = partial(_images, 32), partial(_images, 64)
    return [
        _case("ViTForImageClassification", "ViTConfig", VISION, small),
        _case("DeiTModel", "DeiTConfig", VISION, small),
        _case("SwinModel", "SwinConfig", {**swin, "depths": [2, 2], "num_heads": [2, 4]}, small),
        _case("ConvNextModel", "ConvNextConfig", {"hidden_sizes": [8, 16, 16, 16], "depths": [1] * 4}, large),
        _case("CLIPModel", "CLIPConfig", {"text_config": TEXT, "vision_config": VISION}, _both),
    ]


def language() -> list[Architecture]:
    """Causal language models with their default configuration, which returns a cache of keys and values."""
    gpt2 = {"vocab_size": WORDS, "n_embd": WIDTH, "n_layer": 2, "n_head": HEADS}
    ends = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    opt = {**TEXT, "ffn_dim": FEATURES, "word_embed_proj_dim": WIDTH}
    mamba = {"vocab_size": WORDS, "hidden_size": WIDTH, "state_size": 4, "num_hidden_layers": 2, **ends}
    heads = {**GROUPED, "head_dim": 8}
    return [
        _case("GPT2LMHeadModel", "GPT2Config", {**gpt2, **ends}),
        _case("OPTForCausalLM", "OPTConfig", opt),
        _case("GPTNeoXForCausalLM", "GPTNeoXConfig", TEXT),
        _case("LlamaForCausalLM", "LlamaConfig", GROUPED),
        _case("MistralForCausalLM", "MistralConfig", GROUPED),
        _case("MistralForCausalLM", "MistralConfig", {**GROUPED, "sliding_window": 5}, suffix="/window"),
        _case("Qwen2ForCausalLM", "Qwen2Config", GROUPED),
        _case("Qwen3ForCausalLM", "Qwen3Config", heads),
        _case("GemmaForCausalLM", "GemmaConfig", heads),
        _case("PhiForCausalLM", "PhiConfig", TEXT),
        _case("MixtralForCausalLM", "MixtralConfig", MIXTRAL),
        _case("MambaForCausalLM", "MambaConfig", {**mamba, "use_cache": False}),
        _case("MambaForCausalLM", "MambaConfig", mamba, suffix="/cache", branches=True),
    ]


def pairs() -> list[Architecture]:
    """Models from one sequence to another."""
    speech = {"decoder_input_ids": M}
    return [
        _case("T5ForConditionalGeneration", "T5Config", T5, _pair),
        _case("BartForConditionalGeneration", "BartConfig", PAIR, _pair),
        _case("MarianMTModel", "MarianConfig", PAIR, _pair),
        _case("WhisperForConditionalGeneration", "WhisperConfig", WHISPER, _speech, lengths=speech),
    ]


# -- steps of generation ---------------------------------------------------------------------------


def _key_values(batch: int, length: int, heads: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    shape = (batch, heads, length, WIDTH // HEADS)
    return [(torch.randn(shape), torch.randn(shape)) for _ in range(2)]


def _cache_name(model: str) -> str:
    """``cache``, or what older releases of transformers call it."""
    parameters = inspect.signature(getattr(T, model).forward).parameters
    return next(name for name in ("cache", "past_key_values") if name in parameters)


def _step(name: str, heads: int, batch: int, length: int) -> dict[str, Any]:
    """One more word after ``length`` others."""
    mask = torch.ones(batch, length + 1, dtype=torch.long)
    mask[0, :2] = 0
    cache = T.DynamicCache(_key_values(batch, length, heads))
    return {"input_ids": words(batch, 1), "attention_mask": mask, name: cache}


def _pair_step(name: str, batch: int, length: int) -> dict[str, Any]:
    cache = T.EncoderDecoderCache(
        T.DynamicCache(_key_values(batch, length - 3, HEADS)),
        T.DynamicCache(_key_values(batch, length, HEADS)),
    )
    states = T.modeling_outputs.BaseModelOutput(torch.randn(batch, length, WIDTH))
    mask = torch.ones(batch, length, dtype=torch.long)
    mask[0, -2:] = 0
    return {
        "encoder_outputs": states,
        "attention_mask": mask,
        "decoder_input_ids": words(batch, 1),
        name: cache,
    }


def _decoding(model: str, config: str, settings: dict[str, Any], *, paired: bool, heads: int) -> Architecture:
    name = _cache_name(model)
    example = partial(_pair_step, name) if paired else partial(_step, name, heads)
    lengths: dict[str, dict[int, str]] = {
        "attention_mask": L if paired else {1: "K"},
        "encoder_outputs_last_hidden_state": L,
    }
    for layer in range(2):
        for part in ("keys", "values"):
            if paired:
                lengths[f"{name}_self_attention_cache_layers_{layer}_{part}"] = {2: "P"}
                lengths[f"{name}_cross_attention_cache_layers_{layer}_{part}"] = {2: "L"}
            else:
                lengths[f"{name}_layers_{layer}_{part}"] = {2: "P"}
    return _case(model, config, settings, example, lengths=lengths, suffix="/step")


def decoding() -> list[Architecture]:
    """The same models at one step of generation: a cache comes in and goes out, longer by one."""
    one, two = partial(_decoding, paired=False), partial(_decoding, paired=True, heads=HEADS)
    gpt2 = {"vocab_size": WORDS, "n_embd": WIDTH, "n_layer": 2, "n_head": HEADS}
    return [
        one("LlamaForCausalLM", "LlamaConfig", GROUPED, heads=2),
        one("GPT2LMHeadModel", "GPT2Config", gpt2, heads=HEADS),
        two("T5ForConditionalGeneration", "T5Config", T5),
        two("BartForConditionalGeneration", "BartConfig", PAIR),
    ]


def everything() -> list[Architecture]:
    """All of them."""
    library("torchvision")  # before transformers imports it
    return [*encoders(), *images(), *language(), *pairs(), *decoding()]

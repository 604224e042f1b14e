"""Architectures of transformers, from configurations with small random weights."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from mase.frontends.capture import capture
from tests.frontends.checks import check

transformers = pytest.importorskip("transformers")
T: Any = transformers

WORDS, WIDTH = 64, 32
TEXT = {
    "vocab_size": WORDS,
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
}
VISION = {
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "image_size": 32,
    "patch_size": 8,
}
GROUPED = {**TEXT, "num_key_value_heads": 2}
SEQ2SEQ = {
    "vocab_size": WORDS,
    "d_model": WIDTH,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "max_position_embeddings": 64,
    "use_cache": False,
}
GPT2 = {"vocab_size": WORDS, "n_embd": WIDTH, "n_layer": 2, "n_head": 4, "use_cache": False}


def _words(batch: int, length: int) -> torch.Tensor:
    return torch.randint(3, WORDS, (batch, length))


def _text(batch: int = 2, length: int = 10) -> dict[str, torch.Tensor]:
    return {"input_ids": _words(batch, length), "attention_mask": torch.ones(batch, length, dtype=torch.long)}


def _pairs(batch: int = 2, length: int = 10) -> dict[str, torch.Tensor]:
    return {**_text(batch, length), "decoder_input_ids": _words(batch, length - 3)}


def _image(size: int) -> Callable[..., dict[str, torch.Tensor]]:
    def make(batch: int = 2, length: int = 0) -> dict[str, torch.Tensor]:
        return {"pixel_values": torch.randn(batch, 3, size, size)}

    return make


def _both(batch: int = 2, length: int = 10) -> dict[str, torch.Tensor]:
    return {**_text(batch, length), **_image(32)(batch)}


QUICK: list[tuple[str, str, dict[str, Any], Any]] = [
    ("BertModel", "BertConfig", TEXT, _text),
    ("GPT2LMHeadModel", "GPT2Config", GPT2, _text),
    ("LlamaForCausalLM", "LlamaConfig", GROUPED, _text),  # returns its key-value cache
    ("ViTForImageClassification", "ViTConfig", VISION, _image(32)),
]
MORE: list[tuple[str, str, dict[str, Any], Any]] = [
    ("RobertaForSequenceClassification", "RobertaConfig", TEXT, _text),
    (
        "DistilBertModel",
        "DistilBertConfig",
        {"vocab_size": WORDS, "dim": WIDTH, "n_layers": 2, "n_heads": 4, "hidden_dim": 48},
        _text,
    ),
    ("ElectraModel", "ElectraConfig", {**TEXT, "embedding_size": 16}, _text),
    ("AlbertModel", "AlbertConfig", {**TEXT, "embedding_size": 16}, _text),
    (
        "DebertaV2Model",
        "DebertaV2Config",
        {**TEXT, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
        _text,
    ),
    ("DeiTModel", "DeiTConfig", VISION, _image(32)),
    (
        "SwinModel",
        "SwinConfig",
        {
            "image_size": 32,
            "patch_size": 4,
            "embed_dim": 16,
            "depths": [2, 2],
            "num_heads": [2, 4],
            "window_size": 4,
        },
        _image(32),
    ),
    ("ConvNextModel", "ConvNextConfig", {"hidden_sizes": [8, 16, 16, 16], "depths": [1] * 4}, _image(64)),
    (
        "ResNetModel",
        "ResNetConfig",
        {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]},
        _image(64),
    ),
    ("CLIPModel", "CLIPConfig", {"text_config": TEXT, "vision_config": VISION}, _both),
    ("OPTForCausalLM", "OPTConfig", {**TEXT, "ffn_dim": 48, "word_embed_proj_dim": WIDTH}, _text),
    ("GPTNeoXForCausalLM", "GPTNeoXConfig", {**TEXT, "use_cache": False}, _text),
    ("MistralForCausalLM", "MistralConfig", {**GROUPED, "use_cache": False}, _text),
    ("Qwen2ForCausalLM", "Qwen2Config", {**GROUPED, "use_cache": False}, _text),
    ("Qwen3ForCausalLM", "Qwen3Config", {**GROUPED, "head_dim": 8, "use_cache": False}, _text),
    ("GemmaForCausalLM", "GemmaConfig", {**GROUPED, "head_dim": 8, "use_cache": False}, _text),
    ("PhiForCausalLM", "PhiConfig", {**TEXT, "use_cache": False}, _text),
    (
        "T5ForConditionalGeneration",
        "T5Config",
        {
            "vocab_size": WORDS,
            "d_model": WIDTH,
            "d_kv": 8,
            "d_ff": 48,
            "num_layers": 2,
            "num_heads": 4,
            "use_cache": False,
        },
        _pairs,
    ),
    ("BartForConditionalGeneration", "BartConfig", SEQ2SEQ, _pairs),
    ("MarianMTModel", "MarianConfig", {**SEQ2SEQ, "pad_token_id": 0, "decoder_start_token_id": 1}, _pairs),
]


def _dynamic(example: dict[str, torch.Tensor]) -> dict[str, dict[int, str]]:
    lengths = {"input_ids": "L", "attention_mask": "L", "decoder_input_ids": "M"}
    return {name: {0: "N", **({1: lengths[name]} if name in lengths else {})} for name in example}


def _check(model: str, config: str, settings: dict[str, Any], make: Any) -> None:
    torch.manual_seed(0)
    net: nn.Module = getattr(T, model)(getattr(T, config)(**settings))
    example = make()
    others = [((), make(3, 10)), ((), make(3, 7))]
    made = check(net, (), example, dynamic=_dynamic(example), others=others)
    assert made.mode == "train"
    assert not made.notes
    assert all(str(n.type).partition("[")[2].startswith("N") for n in made.graph.inputs)


@pytest.mark.parametrize(
    ("model", "config", "settings", "make"), QUICK, ids=lambda v: v if isinstance(v, str) else ""
)
def test_architecture(model: str, config: str, settings: dict[str, Any], make: Any) -> None:
    _check(model, config, settings, make)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "config", "settings", "make"), MORE, ids=lambda v: v if isinstance(v, str) else ""
)
def test_more_architectures(model: str, config: str, settings: dict[str, Any], make: Any) -> None:
    _check(model, config, settings, make)


@pytest.mark.slow
def test_a_large_language_model_without_its_weights() -> None:
    config = T.LlamaConfig(use_cache=False)  # 32 layers of 4096: 7 billion weights
    with torch.device("meta"):
        model = T.LlamaForCausalLM(config)
        ids = torch.ones(2, 16, dtype=torch.long)
    graph = capture(model, (), {"input_ids": ids}, dynamic={"input_ids": {0: "N", 1: "L"}}).graph
    assert sum(n.op.name == "nn.linear" for n in graph.nodes) == 32 * 7 + 1
    assert str(graph.outputs[0].type) == "f32[N,L,32000]"

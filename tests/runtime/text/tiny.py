"""A tiny tokenizer, tiny texts and tiny models, made on the spot: nothing here comes over a network."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

pytest.importorskip("datasets")
transformers: Any = pytest.importorskip("transformers")
tokenizers: Any = pytest.importorskip("tokenizers")

WORDS = ["the", "a", "film", "movie", "story", "plot", "is", "was", "very", "not", "quite"]
WORDS += ["good", "fine", "great", "bad", "awful", "dull", "poor"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
SIZE = {
    "vocab_size": len(SPECIAL) + len(WORDS),
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 64,
}


def tokenizer(**settings: Any) -> Any:
    """A tokenizer that knows `WORDS`, in the manner of BERT's."""
    made = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: i for i, word in enumerate([*SPECIAL, *WORDS])}, unk_token="[UNK]")
    )
    made.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    made.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = dict(zip(("pad", "unk", "cls", "sep", "mask"), SPECIAL, strict=True))
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made,
        **{f"{name}_token": token for name, token in names.items()},
        **{"eos_token": "[SEP]", "model_max_length": 64, "model_input_names": INPUTS, **settings},
    )


INPUTS = ["input_ids", "token_type_ids", "attention_mask"]


def sentences(count: int, *, seed: int = 0) -> list[tuple[str, str]]:
    """Sentences of different lengths with their sentiment."""
    chance = torch.Generator().manual_seed(seed)

    def pick(words: list[str]) -> str:
        return words[int(torch.randint(len(words), (), generator=chance))]

    found: list[tuple[str, str]] = []
    for i in range(count):
        good = i % 3 > 0
        many = ["very"] * int(torch.randint(5, (), generator=chance))
        said = [pick(["the", "a"]), pick(WORDS[2:6]), "is", *many, pick(WORDS[11:14] if good else WORDS[14:])]
        found.append((" ".join(said), "good" if good else "bad"))
    return found


def write_csv(path: Path, rows: list[tuple[Any, ...]], header: tuple[str, ...], delimiter: str = ",") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows([header, *rows])
    return path


def bert(head: str, seed: int = 0, **settings: Any) -> Any:
    """A model of transformers with random weights, in evaluation mode."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = transformers.BertConfig(**SIZE, **settings)
        return _loud(getattr(transformers, f"BertFor{head}")(config).eval())


def llama(seed: int = 0) -> Any:
    """A language model of transformers with random weights, in evaluation mode."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = transformers.LlamaConfig(**SIZE, num_key_value_heads=1, use_cache=False)
        return _loud(transformers.LlamaForCausalLM(config).eval())


def _loud(model: nn.Module) -> nn.Module:
    """Larger weights: those of a new model give every class the same probability, which proves little."""
    for weight in model.parameters():
        weight.data *= 10
    return model


def save(folder: Path, model: Any | None = None, **settings: Any) -> Path:
    """What ``save_pretrained`` writes: the tokenizer, and a model if there is one."""
    tokenizer(**settings).save_pretrained(folder)
    if model is not None:
        model.save_pretrained(folder)
    return folder

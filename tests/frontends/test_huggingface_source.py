"""``hf:`` recipes: what the data set decides of a model, and what is said when a model cannot be had."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

import mase
from mase.frontends.source import materialise
from mase.ir import Graph, Header, MaseError
from tests.runtime.text.tiny import SIZE, bert, save, tokenizer

TEXTS = {"input_ids": "i64[N,L]", "attention_mask": "i64[N,L]"}


def graph(data: Any = None, **recipe: Any) -> Graph:
    model = {"source": "hf:bert", "config": dict(SIZE), **recipe}
    return materialise(Header(model=model), data=data)


def texts(**facts: Any) -> SimpleNamespace:
    return SimpleNamespace(**{"input_types": TEXTS, "task": "text-classification", "num_classes": 5, **facts})


def shape(made: Graph) -> str:
    return str(made.outputs[0].type)


def test_the_data_decide_head_and_labels() -> None:
    made = graph(texts())
    assert shape(made) == "f32[N,5]"
    assert [str(node.type) for node in made.inputs] == ["i64[N,L]", "i64[N,L]"]
    # The graph keeps it, so that its source can be built again without the data.
    assert made.header.model["task"] == "text-classification"
    assert made.header.model["config"] == {**SIZE, "num_labels": 5}
    assert shape(materialise(made.header)) == "f32[N,5]"


def test_the_recipe_decides_before_the_data() -> None:
    assert shape(graph(texts(), config={**SIZE, "num_labels": 3})) == "f32[N,3]"
    assert shape(graph(texts(), task="masked-lm")) == f"f32[N,L,{SIZE['vocab_size']}]"


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("token-classification", "f32[N,L,5]"),
        ("classification", "f32[N,5]"),
        ("regression", "f32[N,5]"),
        ("masked-lm", "f32[N,L,23]"),
    ],
)
def test_every_task_has_its_head(task: str, expected: str) -> None:
    assert shape(graph(texts(task=task))) == expected


def test_the_vocabulary_of_a_new_model_is_that_of_the_tokenizer() -> None:
    small = {key: value for key, value in SIZE.items() if key != "vocab_size"}
    made = graph(texts(task="masked-lm", tokenizer=tokenizer()), config=small)
    assert shape(made) == f"f32[N,L,{len(tokenizer())}]"


def test_only_what_the_model_takes_becomes_an_input() -> None:
    small = {"vocab_size": 23, "dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 24}
    kinds = {**TEXTS, "token_type_ids": "i64[N,L]"}
    made = graph(texts(input_types=kinds), source="hf:distilbert", config=small)
    assert [node.name for node in made.inputs] == ["input_ids", "attention_mask"]
    assert len(graph(texts(input_types=kinds)).inputs) == 3


def test_a_checkpoint_gets_a_new_head_for_other_labels(tmp_path: Path) -> None:
    folder = save(tmp_path, bert("SequenceClassification", num_labels=2))
    recipe: dict[str, Any] = {"source": f"hf:{folder}", "config": {}, "pretrained": True}
    same, other = graph(texts(num_classes=2), **recipe), graph(texts(num_classes=3), **recipe)
    assert (shape(same), shape(other)) == ("f32[N,2]", "f32[N,3]")
    key = "bert.embeddings.word_embeddings.weight"
    assert bool((same.state[key] == other.state[key]).all())


def test_the_directory_beside_the_recipe(tmp_path: Path) -> None:
    save(tmp_path / "tiny", bert("SequenceClassification", num_labels=2))
    header = Header(model={"source": "hf:tiny", "pretrained": True, "task": "text-classification"})
    made = materialise(header, base_dir=tmp_path)
    assert made.name == "tiny"
    assert made.header.model["source"] == f"hf:{tmp_path / 'tiny'}"


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"task": "text-clasification"}, "did you mean 'text-classification'?"),
        ({"config": {"hiden_size": 3}}, "did you mean 'hidden_size'?"),
        ({"pretrained": True}, "'bert' is an architecture and has no weights"),
        ({"args": {"hidden_size": 3}}, "write them under config"),
        ({"source": "hf:./nowhere"}, "cannot be read"),
    ],
)
def test_bad_recipes(recipe: dict[str, Any], message: str) -> None:
    with pytest.raises(MaseError, match=message):
        graph(**recipe)


def test_the_linear_layers_of_gpt2_are_linear_layers(tmp_path: Path) -> None:
    sizes: dict[str, Any] = {"vocab_size": 23, "n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 8}
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=1, eos_token_id=1)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)  # biases too
    model.save_pretrained(tmp_path / "gpt2")
    recipe = {"source": f"hf:{tmp_path / 'gpt2'}", "task": "causal-lm", "pretrained": True, "config": {}}
    made = graph(texts(task="causal-lm", input_types={"input_ids": "i64[N,L]"}), **recipe)
    tokens = torch.randint(23, (2, 8))
    with torch.no_grad():
        expected = model(tokens).logits
        torch.testing.assert_close(mase.lower(made).eval()(tokens)["logits"], expected)
        mase.save(made, tmp_path / "gpt2.toml")
        reloaded = mase.lower(mase.load(tmp_path / "gpt2.toml")).eval()
        torch.testing.assert_close(reloaded(tokens)["logits"], expected)
    mase.Pipeline('quantize{default={data_in="int<8,token>", weight="int<8,channel=0>"}}').run(made)
    assert sum(node.op.name == "mase.linear_scale_integer" for node in made.nodes) == 5

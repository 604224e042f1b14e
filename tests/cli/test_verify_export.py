"""Transformers of integers by the command line: exported, verified, broken, and found out."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from tests.cli.conftest import MaseOpt
from tests.runtime.text.tiny import save, sentences, write_csv
from tests.runtime.verification.mutations import of

pytestmark = pytest.mark.slow

RECIPE = """\
mase = 1

[model]
source = "hf:{family}"
task = "{task}"
config = {{ hidden_size = 32, num_hidden_layers = 1, num_attention_heads = 2, intermediate_size = 64{more} }}

[data]
source = "{source}"
tokenizer = "words"
max_token_len = 8
padding = "max"
batch_size = 32
cache_dir = "cache"

[passes.quantize]
nonlinear = "table"
default = {{ data_in = "fixed<8>", weight = "fixed<8>" }}
rules = [
    {{ op = "tensor.add", data_in = "fixed<16>" }},
    {{ op = "nn.*_norm", data_in = "fixed<16>", weight = "fixed<16>", data_out = "fixed<16>" }},
    {{ op = "nn.embedding", weight = "fixed<16>" }},
]
"""
EXPORT = 'quantize,legalize-casts,export{format="integer"},verify-export'
PASSES = {"bert": EXPORT, "llama": f"fuse-norms,fuse-attention,fold-constants,{EXPORT}"}
FAULTS = {
    "bert": {
        "self.query.weight": "bert_encoder_layer_0_attention_self_query",
        "attention.self.query/Round": "bert_encoder_layer_0_attention_self_query_data_in",
        "gelu_table": "gelu",
        "attention_query_factor": "attention_query",
    },
    "llama": {
        "self_attn.q_proj.weight": "model_layers_0_self_attn_q_proj",
        "self_attn.q_proj/Round": "model_layers_0_self_attn_q_proj_data_in",
        "silu_table": "silu",
        "attention_query_factor": "attention_query",
    },
}


def recipe(family: str) -> None:
    """A model file, with the texts and the tokenizer that it names."""
    save(Path("words"))
    rows = sentences(120)
    write_csv(Path("reviews.csv"), rows, ("text", "label"))
    Path("play.txt").write_text("\n".join(text for text, _ in rows))
    task, source, more = {
        "bert": ("text-classification", "csv:reviews.csv", ""),
        "llama": ("causal-lm", "text:play.txt", ", num_key_value_heads = 1, vocab_size = 23"),
    }[family]
    text = RECIPE.format(family=family, task=task, source=source, more=more)
    Path("model.toml").write_text(text)


@pytest.mark.parametrize("family", PASSES)
def test_transformers(mase_opt: MaseOpt, family: str) -> None:
    recipe(family)
    result = mase_opt("model.toml", "-p", PASSES[family], "-o", "out/model.toml")
    assert result.status == 0, result.err
    assert result.err.count("onnxruntime") == 4  # two of them, on vectors and on data
    file = Path("out/graph.integer.onnx")
    sound = onnx.load(file)
    for fault, node in FAULTS[family].items():
        onnx.save(of(sound, fault), file)
        broken = mase_opt("out/model.toml", "-p", "verify-export", "-o", "out/model.toml")
        assert broken.status != 0, fault
        assert f"the first node that differs is {node}[" in " ".join(broken.err.split()), fault

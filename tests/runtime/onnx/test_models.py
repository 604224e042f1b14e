"""Whole transformers as float ONNX, at other batches and lengths than those of the capture."""

from __future__ import annotations

import pytest
import torch
import transformers

import mase
from mase.runtime.onnx import print_graph
from tests.runtime.onnx.running import checked, run

SMALL = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "vocab_size": 100,
}
MODELS = {
    "bert": lambda: transformers.BertForSequenceClassification(transformers.BertConfig(**SMALL)),
    "llama": lambda: transformers.LlamaForCausalLM(
        transformers.LlamaConfig(**SMALL, num_key_value_heads=2, use_cache=False)
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("passes", ["", "fuse-attention"])
@pytest.mark.parametrize("name", MODELS)
def test_transformers(name: str, passes: str) -> None:
    torch.manual_seed(0)
    net = MODELS[name]().eval()
    ids = torch.randint(0, 100, (2, 7))
    kwargs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    graph = mase.trace(net, (), kwargs, dynamic={key: {0: "N", 1: "L"} for key in kwargs})
    if passes:
        mase.Pipeline(passes).run(graph)
    model = checked(print_graph(graph))
    for batch, length in ((2, 7), (3, 11), (1, 4)):
        ids = torch.randint(0, 100, (batch, length))
        mask = torch.ones_like(ids)
        mask[0, -2:] = 0
        with torch.no_grad():
            expected = net(input_ids=ids, attention_mask=mask).logits
        (found,) = run(model, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
        assert torch.allclose(torch.from_numpy(found), expected, atol=1e-5)

"""Models too large for this machine, captured without their weights."""

from typing import Any

import pytest
import torch

from mase.frontends.capture import capture

transformers: Any = pytest.importorskip("transformers")


@pytest.mark.slow
def test_a_large_language_model_without_its_weights() -> None:
    config = transformers.LlamaConfig(use_cache=False)  # 32 layers of 4096: 7 billion weights
    with torch.device("meta"):
        model = transformers.LlamaForCausalLM(config)
        ids = torch.ones(2, 16, dtype=torch.long)
    graph = capture(model, (), {"input_ids": ids}, dynamic={"input_ids": {0: "N", 1: "L"}}).graph
    assert sum(n.op.name == "nn.linear" for n in graph.nodes) == 32 * 7 + 1
    assert str(graph.outputs[0].type) == "f32[N,L,32000]"

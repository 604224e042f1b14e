"""Models captured without their weights, which take their place later."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn

from mase.frontends.capture import capture
from mase.frontends.transient import fill_transient
from mase.ir import parse_type
from mase.ir.state import State
from mase.runtime.lower import lower

transformers: Any = pytest.importorskip("transformers")

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "vocab_size": 64,
}
CASES = {
    "llama": ("LlamaForCausalLM", "LlamaConfig", {"rope_theta": 500.0}),
    "llama with scaled positions": (
        "LlamaForCausalLM",
        "LlamaConfig",
        {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 100.0}},
    ),
    "bert": ("BertModel", "BertConfig", {}),
    "gemma": ("GemmaForCausalLM", "GemmaConfig", {"head_dim": 8, "num_key_value_heads": 2}),
}


@pytest.mark.parametrize("name", CASES)
def test_weights_come_later_and_buffers_are_right(name: str) -> None:
    model, config, more = CASES[name]

    def make() -> nn.Module:
        return getattr(transformers, model)(getattr(transformers, config)(**SMALL, **more)).eval()

    real = make()
    with torch.device("meta"):
        absent = make()
        ids = torch.ones(2, 8, dtype=torch.long)
    made = capture(absent, (), {"input_ids": ids}, dynamic={"input_ids": {0: "N", 1: "L"}})
    assert not made.notes
    for key, value in real.state_dict().items():
        made.graph.state[key] = value
    ids = torch.randint(0, 64, (3, 11))
    assert torch.equal(lower(made.graph).eval()(input_ids=ids)[0], real(input_ids=ids)[0])


def test_a_buffer_that_nobody_computes_is_told_of() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("table", torch.arange(4.0), persistent=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.table

    with torch.device("meta"):
        net, x = Net(), torch.ones(2, 4)
    [note] = capture(net, (x,)).notes
    assert "graph.state['table']" in str(note)


def test_a_module_that_resets_itself() -> None:
    class Table(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("table", torch.empty(4), persistent=False)
            self.register_buffer("noise", torch.empty(4), persistent=False)
            self.reset_parameters()

        def reset_parameters(self) -> None:
            self.table.copy_(torch.arange(4.0))
            self.noise.add_(1)  # from whatever was there

    with torch.device("meta"):
        net = nn.Sequential(Table())
    state = State()
    state.declare("0.table", parse_type("f32[4]"), "constant")
    state.declare("0.noise", parse_type("f32[4]"), "constant")
    assert fill_transient(state, net) == ["0.noise"]
    assert state["0.table"].tolist() == [0, 1, 2, 3]


SEVEN_BILLION = """
import resource, torch, transformers
from mase.frontends.capture import capture
with torch.device("meta"):
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig())  # 32 layers of 4096
    ids = torch.ones(2, 16, dtype=torch.long)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
graph = capture(model, (), {"input_ids": ids}, dynamic={"input_ids": {0: "N", 1: "L"}}).graph
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
linear = sum(n.op.name == "nn.linear" for n in graph.nodes)
entries = graph.state.entries().items()
available = sum(graph.state.available(k) for k, e in entries if e.kind == "parameter")
print(linear, graph.outputs[0].type, available, before // 1024, after // 1024)
"""


@pytest.mark.slow
def test_seven_billion_weights_take_no_memory() -> None:
    done = subprocess.run([sys.executable, "-c", SEVEN_BILLION], capture_output=True, text=True, check=True)
    linear, type_, available, _, megabytes = done.stdout.split()
    assert int(linear) == 32 * 7 + 1
    assert type_ == "f32[N,L,32000]"
    assert int(available) == 0
    assert int(megabytes) < 2048

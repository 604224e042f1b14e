"""Checked capture: a graph that computes something else than its model never gets out."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import mase
from mase.ir import Template
from mase.ir.ops import nn as ops
from mase.ir.ops.torch import Call
from mase.passes.capture import first_difference


class Branches(nn.Module):
    """Another structure in training than in evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Use one layer or both."""
        return self.b(self.a(x)) if self.training else self.a(x)


def test_a_model_that_branches_on_training_is_captured_in_eval_mode() -> None:
    model, x = Branches(), torch.randn(3, 4)
    graph = mase.trace(model, (x,))
    assert torch.equal(mase.lower(graph).eval()(x), model.eval()(x))
    assert len(graph.find(ops.Linear)) == 1


def test_the_first_node_that_differs_is_named() -> None:
    model, x = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Tanh(), nn.Linear(4, 4)), torch.randn(3, 4)
    graph = mase.trace(model, (x,))
    assert first_difference(graph, model, (x,), {}) is None
    graph["_1"].op = ops.Sigmoid()
    found = first_difference(graph, model, (x,), {})
    assert found is not None
    assert "'_1' (nn.sigmoid, module '1')" in found


def test_a_difference_between_layers_is_told() -> None:
    class Twice(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 2.0

    model, x = Twice(), torch.randn(3, 4)
    graph = mase.trace(model, (x,))
    [call] = graph.find(Call)
    assert isinstance(call.op, Call)
    call.op = Call(target=call.op.target, args=Template.parse("(%0, 3.0)"), returns=call.op.returns)
    assert first_difference(graph, model, (x,), {}) == "its outputs differ although every layer agrees"


def test_checking_draws_nothing_from_the_random_state() -> None:
    model, x = nn.Sequential(nn.Linear(4, 4), nn.Dropout()), torch.randn(3, 4)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    mase.trace(model, (x,))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("cache", [False, True])
def test_language_models_with_constants_and_caches(cache: bool) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, vocab_size=50
    )
    model = transformers.LlamaForCausalLM(config).eval()
    ids = torch.randint(0, 50, (2, 5))
    graph = mase.trace(model, (), {"input_ids": ids, "use_cache": cache})
    assert torch.equal(mase.lower(graph).eval()(input_ids=ids).logits, model(ids).logits)

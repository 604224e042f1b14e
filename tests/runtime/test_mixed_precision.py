"""Mixed precision is for what is float: the integers of a quantized module stay what they are."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import mase
from mase.frontends.zoo import find_model
from mase.runtime.data import make_data
from mase.runtime.trainer import TrainConfig, evaluate

QUANTIZE = 'quantize{default={data_in="fixed<8,4>", weight="fixed<8,6>", bias="fixed<8,4>"}}'

PRECISIONS = ("32-true", "bf16-mixed")


@pytest.mark.parametrize(("model", "data"), [("toy", "toy-tiny"), ("digits-cnn", "digits")])
def test_bf16_mixed_gives_the_very_values_of_32_true(model: str, data: str) -> None:
    torch.manual_seed(0)
    source = make_data(data)
    graph = mase.trace(find_model(model)(), args=(source.example_batch()[0],))
    assert not torch.equal(*(outputs(graph, source, precision)[0] for precision in PRECISIONS))  # in float
    mase.Pipeline(QUANTIZE).run(graph)
    (exact, expected), (mixed, found) = (outputs(graph, source, precision) for precision in PRECISIONS)
    assert torch.equal(mixed, exact)
    assert found["test/accuracy"] == expected["test/accuracy"]


def outputs(graph: mase.Graph, source: Any, precision: str) -> tuple[Tensor, dict[str, float]]:
    module, seen = mase.lower(graph), list[Tensor]()
    module.register_forward_hook(lambda _m, _a, y: seen.append(y.float().clone()))
    metrics = evaluate(module, source, config=TrainConfig(precision=precision))
    return torch.cat(seen), metrics

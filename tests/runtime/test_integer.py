"""The interpreter gives the integers of the fake-quantized module, value by value."""

from __future__ import annotations

import torch

import mase
from tests.runtime.integer_graphs import assert_equal_everywhere, digits, legalized, quantized


def test_digits_cnn() -> None:
    graph = quantized(*digits("digits-cnn"), data_in="fixed<8>", weight="fixed<8>")
    x = torch.randn(200, 1, 8, 8) * 4
    assert_equal_everywhere(graph, legalized(graph), x)


def test_prints_and_parses() -> None:
    graph = legalized(quantized(*digits("digits-cnn"), data_in="fixed<4>", weight="fixed<4>"))
    assert mase.loads(mase.dumps(graph)) == graph

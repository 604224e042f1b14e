"""Vectors decide roundings, reach beyond ranges, and are valid indices and masks."""

from __future__ import annotations

import torch
from torch import nn

import mase
from mase.runtime.verification import vectors_for
from mase.runtime.verification.comparison import differences


def test_half_of_the_numbers_are_ties() -> None:
    graph = mase.trace(nn.Flatten(), (torch.randn(2, 3, 4),))
    graph = mase.trace(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), (torch.randn(2, 3, 4),))
    mase.Pipeline('quantize{default={data_in="fixed<6,3>",weight="fixed<6,3>"}}').run(graph)
    x = vectors_for(graph, 500)["input"] * 8
    ties = (x - x.floor()) == 0.5
    assert 0.4 < ties.float().mean() < 0.6
    assert x.min() < -32
    assert x.max() > 31
    assert (x * 2).frac().abs().max() == 0


def test_few_rows_are_alike_at_two_bits() -> None:
    """Where there are but four codes, small numbers still reach more of them than 0."""
    graph = mase.trace(nn.Linear(16, 2), (torch.randn(2, 16),))
    mase.Pipeline('quantize{default={data_in="fixed<2,0>",weight="fixed<2,0>"}}').run(graph)
    x = vectors_for(graph, 500)["input"]
    assert len(mase.quantize(x, "fixed<2,0>").unique(dim=0)) > 490


def test_indices_are_rows_of_their_table() -> None:
    graph = mase.trace(nn.Embedding(7, 3), (torch.zeros(2, 4, dtype=torch.int64),))
    x = vectors_for(graph, 50)["input"]
    assert (x.dtype, x.shape, int(x.min()), int(x.max())) == (torch.int64, (50, 4), 0, 6)


def test_differences() -> None:
    import numpy as np

    a = np.array([1.0, np.nan, 2.0])
    assert differences(a, np.array([1.0, np.nan, 2.0 + 1e-9])).tolist() == [False, False, True]
    assert differences(a, a.astype(np.float32) + np.float32(1e-6), 1e-5).tolist() == [False] * 3
    assert differences(a, np.zeros(4)).all()

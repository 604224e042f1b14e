"""Shares of a split: each sample once, and as many batches for every process."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import distributed, nn

from mase.runtime.data import make_data
from mase.runtime.data.shuffle import Share, Shuffle, unshared
from mase.runtime.training.groups import parameter_groups, parameter_kinds


def shares(samples: int, batch_size: int, processes: int) -> list[Share]:
    """Give the share of each process."""
    made: list[Share] = []
    for rank in range(processes):
        share = Share(range(samples), batch_size)
        share.num_replicas, share.rank = processes, rank
        made.append(share)
    return made


@given(st.integers(1, 40), st.integers(1, 7), st.integers(1, 5))
def test_every_sample_counts_once_in_batches_of_which_all_have_as_many(
    samples: int, batch_size: int, processes: int
) -> None:
    counted: list[int] = []
    numbers: set[int] = set()
    for share in shares(samples, batch_size, processes):
        order = list(share)
        assert len(order) == len(share)
        batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
        numbers.add(len(batches))
        counted += [i for at, batch in enumerate(batches) if not share.is_spare(at) for i in batch]
        assert sum(share.is_spare(at) for at in range(len(batches))) <= 1
    assert sorted(counted) == list(range(samples))
    assert len(numbers) == 1


def test_calibration_looks_at_the_same_in_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = make_data("toy-tiny", batch_size=8)
    expected = next(iter(alone.train_dataloader()))
    for name, value in (("is_initialized", True), ("get_world_size", 2), ("get_rank", 1)):
        monkeypatch.setattr(distributed, name, lambda value=value: value)
    data: Any = make_data("toy-tiny", batch_size=8)
    with unshared():
        loader = data.train_dataloader()
    assert torch.equal(next(iter(loader))[0], expected[0])
    assert not torch.equal(next(iter(data.train_dataloader()))[0], expected[0])
    order = Shuffle(range(10), seed=0, workers=torch.Generator())
    assert len(list(order)) == 5


def test_what_decays_is_settled_while_the_model_is_whole() -> None:
    """A strategy that splits parameters leaves vectors, as which weights look like those of a norm."""
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    kinds = parameter_kinds(net)
    whole = [list(group.parameters) for group in _groups(net, None)]
    net[0].weight = nn.Parameter(net[0].weight.detach().flatten()[:5])
    assert [list(group.parameters) for group in _groups(net, kinds)] == whole
    assert [list(group.parameters) for group in _groups(net, None)] != whole


def _groups(net: nn.Module, kinds: Any) -> Any:
    return parameter_groups(net, weight_decay=0.1, no_decay=["bias", "norm"], kinds=kinds)

"""Data sets: what is in them, in which order, and what is said when they cannot be used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from mase.ir.diagnostics import MaseError
from mase.runtime.data import DATA, make_data
from mase.runtime.data.base import DataModule, Splits


def whole(loader: Any) -> tuple[Tensor, Tensor]:
    inputs, labels = zip(*loader, strict=True)
    return torch.cat(inputs), torch.cat(labels)


def rows(inputs: Tensor) -> set[bytes]:
    return {row.numpy().tobytes() for row in inputs}


def in_memory(labels: Tensor, *, classes: int = 2, **options: Any) -> DataModule:
    class InMemory(DataModule):
        num_classes, input_type = classes, "f32[N,4]"

        def load(self) -> Splits:
            good = TensorDataset(torch.zeros(3, 4), torch.zeros(3, dtype=torch.int64))
            return Splits(train=TensorDataset(torch.zeros(len(labels), 4), labels), val=good, test=good)

    return InMemory(**options)


@pytest.mark.parametrize(("split", "seed"), [("train", 0), ("val", 1), ("test", 2)])
def test_toy_tiny_is_as_documented(split: str, seed: int) -> None:
    samples: Any = getattr(make_data("toy-tiny").splits, split)
    x = ((np.random.RandomState(seed).rand(512, 4) - 0.5) * 10).astype(np.float32)
    assert torch.equal(samples.tensors[0], torch.as_tensor(x).reshape(512, 1, 2, 2))
    assert torch.equal(samples.tensors[1], torch.as_tensor(x.sum(1) > 0).long())
    assert samples.tensors[0].dtype == torch.float32


def test_digits_splits_are_fixed_disjoint_and_stratified() -> None:
    data, other = make_data("digits", seed=1), make_data("digits", seed=2)
    splits = {name: getattr(data, f"{name}_dataloader") for name in ("train", "val", "test")}
    parts = {name: whole(loader()) for name, loader in splits.items()}
    assert {name: len(labels) for name, (_, labels) in parts.items()} == {
        "train": 1296,
        "val": 144,
        "test": 357,
    }
    assert torch.equal(parts["test"][0], whole(other.test_dataloader())[0])
    assert rows(parts["train"][0]) == rows(whole(other.train_dataloader())[0])
    assert not rows(parts["train"][0]) & rows(parts["test"][0])
    assert not rows(parts["train"][0]) & rows(parts["val"][0])
    for inputs, labels in parts.values():
        assert inputs.shape[1:] == (1, 8, 8)
        assert (inputs.min(), inputs.max()) == (0, 1)
        share = torch.bincount(labels, minlength=10) / len(labels)
        assert share.min() > 0.09
        assert share.max() < 0.11


@pytest.mark.parametrize("name", ["digits", "toy-tiny"])
def test_embedded_data_sets_say_what_they_hold(name: str) -> None:
    assert name in DATA
    data = make_data(name, batch_size=7)
    inputs, labels = data.example_batch()
    shape = [int(size) for size in data.input_type.removeprefix("f32[N,").removesuffix("]").split(",")]
    assert list(inputs.shape) == [7, *shape]
    assert inputs.dtype == torch.float32
    assert labels.dtype == torch.int64
    assert data.task == "classification"
    assert labels.max() < data.num_classes


def test_the_order_of_training_depends_on_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> bytes:
        torch.rand(epoch + 1)  # whatever else was drawn
        loader = make_data("toy-tiny", seed=seed).train_dataloader()
        loader.sampler.set_epoch(epoch)
        return whole(loader)[0].numpy().tobytes()

    assert order(0, 1) == order(0, 1)
    assert len({order(0, 0), order(0, 1), order(1, 0)}) == 3


def test_loading_draws_nothing_from_the_global_generator() -> None:
    before = torch.random.get_rng_state()
    data = make_data("toy-tiny")
    for loader in (data.train_dataloader(), data.val_dataloader()):
        whole(loader)
    assert torch.equal(before, torch.random.get_rng_state())


def test_workers_see_the_order_of_a_resumed_epoch() -> None:
    plain, resumed = make_data("toy-tiny"), make_data("toy-tiny", num_workers=1)
    loader = plain.train_dataloader()
    loader.sampler.set_epoch(5)  # pyright: ignore[reportAttributeAccessIssue]
    resumed.load_state_dict({"next_epoch": 5})
    assert torch.equal(whole(loader)[0], whole(resumed.train_dataloader())[0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: make_data("digit"), "did you mean 'digits'?"),
        (lambda: make_data("digits", batch_sise=3), "did you mean 'batch_size'?"),
        (lambda: make_data("digits", batch_size=0), "an integer of at least 1"),
        (lambda: make_data("digits", batch_size="many"), "an integer of at least 1"),
        (lambda: make_data("digits", seed=-1), "an integer of at least 0"),
        (lambda: in_memory(torch.zeros(0, dtype=torch.int64)).setup(), "train split .* is empty"),
        (lambda: in_memory(torch.tensor([0, 2])).setup(), "labels 0 to 2, but num_classes is 2"),
        (lambda: in_memory(torch.tensor([-1, 1])).setup(), "labels -1 to 1"),
    ],
)
def test_bad_input(make: Callable[[], object], message: str) -> None:
    with pytest.raises(MaseError, match=message):
        make()

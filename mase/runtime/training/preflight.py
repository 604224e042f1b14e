"""Everything that can be known to be wrong before the first step is said before the first step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sized
from typing import Any, cast

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from mase.ir.diagnostics import MaseError, did_you_mean
from mase.runtime.data.shuffle import Share
from mase.runtime.distributed import joined
from mase.runtime.tasks.base import Split, Task
from mase.runtime.training.batches import map_tensors, tensors_of

__all__ = ["SplitData", "check", "name_of", "split_loader"]

_PROBE = 2  # samples; enough to see shapes, cheap for any model
_MODEL_ERRORS = (RuntimeError, TypeError, ValueError, LookupError, AttributeError, AssertionError)


def name_of(data: pl.LightningDataModule) -> str:
    """What to call a data module in messages."""
    return data.name or type(data).__name__


def split_loader(data: pl.LightningDataModule, split: Split, *, set_up: bool = False) -> DataLoader[Any]:
    """The loader of a split.

    Args:
        data: the data module.
        split: which.
        set_up: first let the data module prepare itself for the stage that the split belongs to.

    Raises:
        MaseError: if there is no such split, the data module does not have it, or it is empty.
    """
    makers = {"train": data.train_dataloader, "val": data.val_dataloader, "test": data.test_dataloader}
    if split not in makers:
        raise MaseError.of(f"unknown split {split!r}", help=did_you_mean(split, makers))
    if set_up:
        data.prepare_data()
        data.setup("test" if split == "test" else "fit")
    try:
        loader = cast("DataLoader[Any]", makers[split]())
    except (MisconfigurationException, NotImplementedError) as error:
        raise MaseError.of(
            f"data module {name_of(data)!r} has no {split} split", help=f"write its `{split}_dataloader`"
        ) from error
    if len(cast(Sized, loader)) == 0:
        raise MaseError.of(
            f"the {split} split of data set {name_of(data)!r} is empty",
            help="check [data]: the source, and the options that select samples",
        )
    return loader


class SplitData(pl.LightningDataModule):
    """One split of a data module as its test split; of several processes each gets a share of it.

    The loader is made when the processes have joined, and no sample is repeated to make shares equal, so
    the metrics are those of the split.

    Args:
        data: set up.
        split: which.
    """

    def __init__(self, data: pl.LightningDataModule, split: Split) -> None:
        super().__init__()
        self._data = data
        self._split: Split = split

    def test_dataloader(self) -> DataLoader[Any]:
        loader: Any = split_loader(self._data, self._split)
        samples: Any = getattr(loader, "dataset", None)  # anything that can be iterated is a loader
        if not joined() or not hasattr(samples, "__len__"):
            return loader
        size: int = loader.batch_size or 1  # None where the loader has its own way to make batches
        return DataLoader(
            samples,
            batch_size=size,
            sampler=Share(samples, size),
            num_workers=loader.num_workers,
            collate_fn=loader.collate_fn,
        )


def check(task: Task, batch: Any) -> float:
    """Runs the model once on two samples of a batch, in evaluation mode.

    Args:
        task: the task over the model.
        batch: as the data module's loaders make it.

    Returns:
        Floating-point operations in the model's forward pass of the whole batch.

    Raises:
        MaseError: if a weight is not finite, the model fails on the batch or its output does not fit.
    """
    _check_weights(task.model)
    size, probe = _size(batch), _probe(batch)
    modes = [(part, part.training) for part in task.modules()]
    counter = FlopCounterMode(display=False)
    try:
        with torch.no_grad(), counter:
            task.eval().check(batch, probe)
            if task.distillation:
                task.distillation.loss(task.step(probe), probe)
    except _MODEL_ERRORS as error:
        expected = getattr(task.data, "input_type", "the type of the data")
        raise MaseError.of(
            f"the model fails on a batch of data set {name_of(task.data)!r}: {error}",
            help=f"make the model take {expected} ([model] inputs), or name another [data] source",
        ) from error
    finally:
        for part, training in modes:
            part.training = training
    return counter.get_total_flops() * size / min(size, _PROBE)


def _check_weights(model: nn.Module) -> None:
    broken = [name for name, weight in model.named_parameters() if not torch.isfinite(weight).all()]
    if broken:
        raise MaseError.of(
            f"weights that are NaN or infinite: {', '.join(broken)}",
            help="load other weights, or leave [weights] out to start from the model's own",
        )


def _probe(batch: Any) -> Any:
    size = _size(batch)
    return map_tensors(batch, lambda values: values[:_PROBE] if _has(values, size) else values)


def _size(batch: Any) -> int:
    """Samples in a batch: the length that most of its tensors have."""
    lengths = Counter(len(values) for values in tensors_of(batch) if values.ndim)
    return max(1, lengths.most_common(1)[0][0]) if lengths else 1


def _has(values: Tensor, size: int) -> bool:
    return values.ndim > 0 and len(values) == size

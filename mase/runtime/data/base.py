"""What every data set shares: three splits, batches, and an order that depends on nothing but the seed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sized
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias, cast

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset

from mase.ir.diagnostics import MaseError
from mase.runtime.data.options import integer
from mase.runtime.data.shuffle import Share, Shuffle

__all__ = ["DataModule", "Samples", "Splits"]

Samples: TypeAlias = "Dataset[Any]"


@dataclass(frozen=True, kw_only=True)
class Splits:
    """The samples to learn from, to choose the best epoch by, and to report; no sample is in two of them."""

    train: Samples
    val: Samples
    test: Samples


class DataModule(pl.LightningDataModule, ABC):
    """Base of the data sets: a subclass states what it holds and writes `load`.

    Batches are pairs ``(inputs, labels)``, or mappings of tensors by name where the model takes several
    inputs. A subclass with a file to read finds it by `place`.

    Args:
        batch_size: samples in a batch; the last batch of a split may be smaller.
        num_workers: processes that load; 0 loads in this one, fastest for data that fit in memory.
        seed: seeds the order of the training samples, which depends on it and the epoch alone.

    Raises:
        MaseError: if an option is out of range; in `setup`, if a split is empty or a label out of range.

    Example:
        >>> class Ones(DataModule):
        ...     num_classes, input_type = 2, "f32[N,3]"
        ...
        ...     def load(self) -> Splits:
        ...         ones = TensorDataset(torch.ones(10, 3), torch.ones(10, dtype=torch.int64))
        ...         return Splits(train=ones, val=ones, test=ones)
        >>> Ones(batch_size=4).example_batch()[0].shape
        torch.Size([4, 3])
    """

    num_classes: int
    """How many labels there are: ``0 .. num_classes - 1``."""
    input_type: str
    """Type of the inputs in the notation of the IR, ``N`` for the samples of a batch: ``"f32[N,1,8,8]"``."""
    input_types: Mapping[str, str] = MappingProxyType({})
    """Types by name where batches are mappings, ``{"input_ids": "i64[N,L]"}``; instead of `input_type`."""
    task: str = "classification"
    """Name of the task that the data set is for."""
    tokenizer: Any = None
    """What made tokens of texts: a tokenizer of transformers; None for data that are none."""
    collate: Callable[[list[Any]], Any] | None = None
    """Makes a batch of samples, where they cannot just be stacked; must be picklable if workers load."""
    model: Mapping[str, Any] = MappingProxyType({})
    """The ``[model]`` table of the recipe that the data are used in, if there is one."""
    base_dir: Path = Path()
    """The folder that relative file names start from, beside the working directory."""

    def __init__(self, *, batch_size: int = 128, num_workers: int = 0, seed: int = 0) -> None:
        super().__init__()
        self.name = type(self).__name__
        self.batch_size = integer("batch_size", batch_size, 1)
        self.num_workers = integer("num_workers", num_workers, 0)
        self.seed = integer("seed", seed, 0)
        self._splits: Splits | None = None
        self._first_epoch = 0

    @abstractmethod
    def load(self) -> Splits:
        """Reads the samples; called once, when a loader is first needed."""

    def place(self, name: str) -> Path:
        """The file or folder of this name: seen from `base_dir` if it is there, else from here."""
        beside = self.base_dir / name
        return beside if beside.exists() else Path(name)

    def located(self) -> Mapping[str, str]:
        """The keys of ``[data]`` that name files, as the working directory sees them.

        What is written into another folder keeps these, for it no longer finds what lay beside the recipe.
        """
        return {}

    @property
    def splits(self) -> Splits:
        """The samples; read and checked at the first use."""
        if self._splits is None:
            splits = self.load()
            for split, samples in vars(splits).items():
                self._check(split, samples)
            self._splits = splits
        return self._splits

    def setup(self, stage: str | None = None) -> None:
        self.splits  # noqa: B018  # reads and checks the samples

    def order(self, samples: Samples, generator: torch.Generator) -> Shuffle:
        """The order of the training samples.

        Args:
            samples: the training split.
            generator: what the loader seeds its worker processes from.
        """
        return Shuffle(cast(Sized, samples), seed=self.seed, workers=generator)

    def train_dataloader(self) -> DataLoader[Any]:
        generator = torch.Generator()
        order = self.order(self.splits.train, generator)
        order.set_epoch(self._first_epoch)
        return self._loader(self.splits.train, sampler=order, generator=generator)

    def val_dataloader(self) -> DataLoader[Any]:
        return self._loader(self.splits.val, sampler=Share(self.splits.val, self.batch_size))

    def test_dataloader(self) -> DataLoader[Any]:
        return self._loader(self.splits.test, sampler=Share(self.splits.test, self.batch_size))

    # A run that resumes starts at a later epoch, and workers fetch before Lightning tells the sampler so.

    def state_dict(self) -> dict[str, Any]:
        return {"next_epoch": self.trainer.current_epoch + 1 if self.trainer else 0}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._first_epoch = state_dict["next_epoch"]

    def teardown(self, stage: str) -> None:
        self._first_epoch = 0

    def example_batch(self) -> Any:
        """The first batch of the training split, unshuffled; for most tasks ``(inputs, labels)``."""
        return next(iter(self._loader(self.splits.train)))

    def _loader(self, samples: Samples, **options: Any) -> DataLoader[Any]:
        # A generator of its own keeps the loader from drawing on the one that the model's noise comes from.
        options.setdefault("generator", torch.Generator().manual_seed(self.seed))
        return DataLoader(
            samples,
            batch_size=self.batch_size,
            num_workers=self.num_workers,
            collate_fn=self.collate,
            **options,
        )

    def _check(self, split: str, samples: Samples) -> None:
        if len(cast(Sized, samples)) == 0:
            raise MaseError.of(
                f"the {split} split of data set {self.name!r} is empty",
                help="check [data]: the source, and the options that select samples",
            )
        if self.task == "classification" and isinstance(samples, TensorDataset):
            labels: Tensor = samples.tensors[1]
            low, high = int(labels.min()), int(labels.max())
            if low < 0 or high >= self.num_classes:
                raise MaseError.of(
                    f"the {split} split of data set {self.name!r} has labels {low} to {high}, "
                    f"but num_classes is {self.num_classes}",
                    help="number the labels from 0 and set num_classes to their count",
                )

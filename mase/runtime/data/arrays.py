"""``arrays:FILE``: inputs and targets as numpy saved them, such as the samples to calibrate a model on."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import TensorDataset

from mase.ir.diagnostics import MaseError
from mase.runtime.data import register_data
from mase.runtime.data.base import DataModule, Splits
from mase.runtime.data.options import fraction
from mase.runtime.data.splitting import cut

__all__ = ["Arrays"]


@register_data("arrays")
class Arrays(DataModule):
    """Arrays ``x`` and ``y`` of an .npz file, the samples along their first dimension.

    Inputs become float32. Whole numbers in ``y`` are classes from 0, others are estimated.

    Args:
        file: the file.
        validation: the share of the samples that chooses the best epoch.
        test: the share that is reported.
        options: those of `DataModule`.
    """

    def __init__(self, file: str, /, *, validation: float = 0.1, test: float = 0.2, **options: Any) -> None:
        super().__init__(**options)
        self._file = file
        self.validation, self.test = fraction("validation", validation), fraction("test", test)

    @cached_property
    def _arrays(self) -> tuple[NDArray[Any], NDArray[Any]]:
        path = self.place(self._file)
        if not path.is_file():
            raise MaseError.of(
                f"there is no file {path}", help="numpy.savez(FILE, x=inputs, y=targets) writes one"
            )
        try:
            with np.load(path, allow_pickle=False) as found:
                x, y = found["x"].astype(np.float32), found["y"]
        except (ValueError, KeyError, OSError, IndexError, zipfile.BadZipFile) as error:
            raise MaseError.of(
                f"{path} holds no arrays x and y: {error}",
                help="numpy.savez(FILE, x=inputs, y=targets) writes them",
            ) from None
        if x.ndim == 0 or y.ndim == 0 or len(x) != len(y):
            raise MaseError.of(
                f"{path}: x is {list(x.shape)} and y is {list(y.shape)}", help="give as many samples"
            )
        return x, y

    @property
    def _classes(self) -> bool:
        return self._arrays[1].dtype.kind in "iub"

    @property
    def task(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Classification if targets are whole numbers, else regression."""
        return "classification" if self._classes else "regression"

    @property
    def num_classes(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """One more than the largest label."""
        return int(self._arrays[1].max()) + 1

    @property
    def input_type(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The type of ``x``, any number of samples."""
        return f"f32[{','.join(['N', *map(str, self._arrays[0].shape[1:])])}]"

    def located(self) -> Mapping[str, str]:
        return {"source": f"arrays:{self.place(self._file)}"}

    def load(self) -> Splits:
        x, y = self._arrays
        targets = cast(Any, torch).from_numpy(y.astype(np.int64 if self._classes else np.float32))
        rest, test = cut(np.arange(len(x)), y if self._classes else None, round(len(x) * self.test))
        train, val = cut(rest, y if self._classes else None, round(len(x) * self.validation))
        inputs = cast(Any, torch).from_numpy(x)
        return Splits(
            **{
                name: TensorDataset(inputs[index], targets[index])
                for name, index in (("train", train), ("val", val), ("test", test))
            }
        )

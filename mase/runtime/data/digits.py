"""``digits``: handwritten digits that come inside scikit-learn, so that real data need no download."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import TensorDataset

from mase.runtime.data import register_data
from mase.runtime.data.base import DataModule, Splits
from mase.runtime.data.splitting import cut

__all__ = ["Digits"]

_TEST = 357
_VALIDATION = 144


@register_data("digits")
class Digits(DataModule):
    """1797 grey images of 8 by 8 pixels, scaled from 0..16 to 0..1, shaped (1, 8, 8).

    1440 samples are for training and 357 for the test; 144 of the 1440 choose the best epoch (`val`) and
    1296 are learnt from. Both cuts are stratified by label and fixed.

    Example:
        >>> splits = Digits().splits
        >>> len(splits.train), len(splits.val), len(splits.test)
        (1296, 144, 357)
    """

    num_classes = 10
    input_type = "f32[N,1,8,8]"

    def load(self) -> Splits:
        from sklearn.datasets import load_digits  # a second to import, for this data set alone

        raw = cast(Any, load_digits())
        images, labels = raw.images.astype(np.float32)[:, None] / 16, raw.target.astype(np.int64)
        rest, test = cut(np.arange(len(labels)), labels, _TEST)
        train, val = cut(rest, labels, _VALIDATION)

        def samples(index: NDArray[np.int64]) -> TensorDataset:
            return TensorDataset(torch.as_tensor(images[index]), torch.as_tensor(labels[index]))

        return Splits(train=samples(train), val=samples(val), test=samples(test))

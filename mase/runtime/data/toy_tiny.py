"""``toy-tiny``: is the sum of four numbers positive? The smallest set on which learning can be seen."""

from __future__ import annotations

import numpy as np
import torch
from torch.utils.data import TensorDataset

from mase.runtime.data import register_data
from mase.runtime.data.base import DataModule, Splits

__all__ = ["ToyTiny"]


@register_data("toy-tiny")
class ToyTiny(DataModule):
    """512 samples a split of four numbers between -5 and 5, shaped (1, 2, 2); label 1 where they sum above 0.

    Example:
        >>> inputs, labels = ToyTiny().example_batch()
        >>> bool(((inputs.sum((1, 2, 3)) > 0) == labels).all())
        True
    """

    num_classes = 2
    input_type = "f32[N,1,2,2]"

    def load(self) -> Splits:
        return Splits(train=_draw(seed=0), val=_draw(seed=1), test=_draw(seed=2))


def _draw(seed: int) -> TensorDataset:
    # RandomState, not default_rng: numpy promises that its stream never changes.
    values = (np.random.RandomState(seed).rand(512, 4) - 0.5) * 10
    inputs = torch.as_tensor(values.astype(np.float32))
    labels = (inputs.sum(1) > 0).to(torch.int64)
    return TensorDataset(inputs.view(512, 1, 2, 2), labels)

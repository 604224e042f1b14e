"""Labels are smoothed as torch does it, in training only, and by tasks that have labels."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torchmetrics import MeanAbsoluteError, Metric

from mase.ir import MaseError
from mase.runtime.data import make_data
from mase.runtime.tasks import make_task
from mase.runtime.tasks.base import Step, Task
from mase.runtime.trainer import TrainConfig


class Distance(Task):
    def metrics(self) -> dict[str, Metric]:
        return {"mae": MeanAbsoluteError()}

    def step(self, batch: Any) -> Step:
        raise AssertionError("never run")


def test_classes_are_smoothed_in_training() -> None:
    data = make_data("toy-tiny", batch_size=8)
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    task = make_task("classification", model, TrainConfig(label_smoothing=0.1), data)
    inputs, labels = batch = data.example_batch()
    for training, smoothing in ((True, 0.1), (False, 0.0)):
        task.train(training)
        expected = nn.functional.cross_entropy(model(inputs), labels, label_smoothing=smoothing)
        torch.testing.assert_close(task.step(batch).loss, expected)


def test_a_task_without_labels_refuses() -> None:
    data = make_data("toy-tiny")
    Distance(nn.Identity(), TrainConfig(), data)
    with pytest.raises(MaseError, match="Distance smooths no labels"):
        Distance(nn.Identity(), TrainConfig(label_smoothing=0.1), data)


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_share_is_below_one(share: float) -> None:
    with pytest.raises(MaseError, match="label_smoothing is"):
        TrainConfig(label_smoothing=share)

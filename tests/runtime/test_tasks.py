"""Tasks: losses, metrics of each split, what models may return."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mase.ir.diagnostics import MaseError
from mase.runtime.data import make_data
from mase.runtime.tasks import make_task
from mase.runtime.tasks.base import Task
from mase.runtime.trainer import TrainConfig
from tests.runtime.nets import toy

LOGITS = torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0], [0.0, 4.0]])
INPUTS = torch.zeros(4, 1, 2, 2)


class Returns(nn.Module):
    """Returns what it is given, whatever the input."""

    def __init__(self, output: Any) -> None:
        super().__init__()
        self.output = output

    def forward(self, _: Tensor) -> Any:
        return self.output


def classification(model: nn.Module | None = None, **settings: Any) -> Task:
    return make_task("cls", model or Returns(LOGITS), TrainConfig(**settings), make_data("toy-tiny"))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda logits: logits,
        lambda logits: (logits, torch.zeros(1)),
        lambda logits: [None, logits],
        lambda logits: {"hidden": torch.zeros(1), "logits": logits},
        lambda logits: {"scores": logits},
        lambda logits: SimpleNamespace(loss=torch.zeros(1), logits=logits),
        lambda logits: logits.double(),
        lambda logits: logits.to(torch.bfloat16),
    ],
)
def test_models_may_return_logits_in_many_ways(wrap: Any) -> None:
    labels = torch.tensor([0, 1, 0, 1])
    step = classification(Returns(wrap(LOGITS))).step((INPUTS, labels))
    torch.testing.assert_close(step.loss.float(), nn.functional.cross_entropy(LOGITS, labels))
    assert step.loss.dtype == step.prediction.dtype
    assert step.loss.dtype in (torch.float32, torch.float64)


def test_splits_share_no_metric() -> None:
    task = classification()
    right, wrong = torch.tensor([0, 1, 0, 1]), torch.tensor([1, 0, 1, 1])
    task._count("train", task.step((INPUTS, right)))
    task._count("val", task.step((INPUTS, wrong)))
    drained = {split: task._meters[split].drain()["accuracy"].item() for split in ("val", "train")}
    assert drained == {"val": 0.25, "train": 1.0}


def test_the_mean_loss_weighs_batches_by_their_size() -> None:
    task = classification()
    labels = torch.tensor([0, 1, 0, 0])
    losses = nn.functional.cross_entropy(LOGITS, labels, reduction="none")
    task._count("test", task.step((INPUTS, labels)))
    task.model = Returns(LOGITS[3:])
    task._count("test", task.step((INPUTS[3:], labels[3:])))
    torch.testing.assert_close(task._meters["test"].drain()["loss"], (losses.sum() + losses[3]) / 5)


def test_a_checkpoint_holds_the_model_and_nothing_else() -> None:
    assert all(key.startswith("model.") for key in classification(toy()).state_dict())


def test_monitored_metrics_know_their_direction() -> None:
    assert classification().monitored == ("val/accuracy", True)
    assert classification(monitor="val/loss").monitored == ("val/loss", False)
    with pytest.raises(MaseError, match="did you mean 'val/accuracy'"):
        _ = classification(monitor="val/acuracy").monitored


def test_a_loss_that_is_not_a_number_shows() -> None:
    task = classification(Returns(LOGITS * torch.tensor([[1.0], [float("nan")], [1.0], [1.0]])))
    task._count("val", task.step((INPUTS, torch.tensor([0, 1, 0, 1]))))
    assert task._meters["val"].drain()["loss"].isnan()

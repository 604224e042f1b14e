"""Tasks: losses, metrics of each split, what models may return, optimizers and schedules."""

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
from mase.runtime.training.optimizers import OPTIMIZERS, make_optimizer
from mase.runtime.training.schedules import SCHEDULES, make_scheduler
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


@pytest.mark.parametrize("name", ["sgd", "Adam", "adamw", "RMSprop", "lbfgs", "nadam"])
def test_any_optimizer_of_torch(name: str) -> None:
    optimizer = make_optimizer(name, toy().parameters(), learning_rate=0.5)
    assert type(optimizer).__name__.lower() == name.lower()
    assert optimizer.param_groups[0]["lr"] == 0.5
    assert optimizer.param_groups[0].get("weight_decay", 0) == 0  # also where torch's default is more


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("adamm", {}, "did you mean 'adam"),
        ("lbfgs", {"weight_decay": 0.1}, "knows no weight decay"),
        ("muon", {}, "optimizer 'muon'"),
    ],
)
def test_optimizers_that_cannot_be(name: str, options: dict[str, float], message: str) -> None:
    with pytest.raises(MaseError, match=message):
        make_optimizer(name, toy().parameters(), learning_rate=0.1, **options)


def test_nothing_to_train() -> None:
    with pytest.raises(MaseError, match="no trainable parameter"):
        make_optimizer("adam", toy().requires_grad_(False).parameters(), learning_rate=0.1)


@pytest.mark.parametrize(
    ("name", "factors"),
    [
        ("none", [0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1, 1]),
        ("linear", [0.25, 0.5, 0.75, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]),
        ("step", [0.25, 0.5, 0.75, 1, 1, 1, 0.1, 0.1, 0.01, 0.01]),
        ("cosine", [0.25, 0.5, 0.75, 1, 1, 0.933, 0.75, 0.5, 0.25, 0.067]),
    ],
)
def test_schedules(name: str, factors: list[float]) -> None:
    optimizer = make_optimizer("sgd", toy().parameters(), learning_rate=1.0)
    scheduler = make_scheduler(name, optimizer, warmup=4, total_steps=10)
    rates: list[float] = []
    for _ in factors:
        rates += scheduler.get_last_lr()
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx(factors, abs=1e-3)


def test_an_endless_run_has_every_schedule() -> None:
    optimizer = make_optimizer("sgd", toy().parameters(), learning_rate=1.0)
    for name in SCHEDULES:
        assert make_scheduler(name, optimizer, warmup=0, total_steps=float("inf")).get_last_lr() == [1.0]


def test_names_are_lower_case() -> None:
    assert {"adam", "sgd", "adamw"} <= set(OPTIMIZERS)
    assert all(name == name.lower() for name in OPTIMIZERS)


def test_a_loss_that_is_not_a_number_shows() -> None:
    task = classification(Returns(LOGITS * torch.tensor([[1.0], [float("nan")], [1.0], [1.0]])))
    task._count("val", task.step((INPUTS, torch.tensor([0, 1, 0, 1]))))
    assert task._meters["val"].drain()["loss"].isnan()

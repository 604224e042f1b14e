"""Tasks of images and tables: their losses and metrics against scikit-learn, and what they refuse."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics
from sklearn.linear_model import LinearRegression
from torch import Tensor, nn

from mase.ir.diagnostics import MaseError
from mase.runtime.data import make_data
from mase.runtime.tasks import TASKS, make_task
from mase.runtime.tasks.base import Task
from mase.runtime.trainer import TrainConfig, evaluate, fit

GENERATOR = torch.Generator().manual_seed(0)


class Returns(nn.Module):
    """Returns its input, whatever is to be learned."""

    def forward(self, x: Tensor) -> Tensor:
        return x


def task(name: str, **facts: Any) -> Task:
    data: Any = SimpleNamespace(name="data", **facts)
    return make_task(name, Returns(), TrainConfig(), data)


def measured(task: Task, *batches: tuple[Tensor, Tensor]) -> dict[str, float]:
    for batch in batches:
        step = task.step(batch)
        task._meters["test"].update(step.loss, step.prediction, step.target, size=step.weight)
    return {name: value.item() for name, value in task._meters["test"].drain().items()}


def batches(count: int, classes: int) -> list[tuple[Tensor, Tensor]]:
    logits = torch.randn(count, classes, generator=GENERATOR)
    labels = torch.randint(classes, (count,), generator=GENERATOR)
    logits[torch.arange(count), labels] += 1  # better than chance
    cut = count // 3
    return [(logits[:cut], labels[:cut]), (logits[cut:], labels[cut:])]


def together(parts: list[tuple[Tensor, Tensor]]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    return tuple(torch.cat(each).numpy() for each in zip(*parts, strict=True))  # type: ignore[return-value]


def test_areas_do_not_depend_on_how_samples_are_batched() -> None:
    """Logits that happen to look like probabilities are logits all the same."""
    logits = torch.rand(60, 3, generator=GENERATOR)
    logits[30:] *= 8
    labels = torch.arange(60) % 3
    area = metrics.roc_auc_score(labels.numpy(), logits.softmax(1).numpy(), multi_class="ovr")
    for size in (5, 30, 60):
        found = measured(
            task("tabular", num_classes=3), *zip(logits.split(size), labels.split(size), strict=True)
        )
        assert found["auroc"] == pytest.approx(area, rel=1e-5)


@pytest.mark.parametrize("name", ["classification", "cls", "image-classification"])
def test_classification(name: str) -> None:
    parts = batches(300, 10)
    scores, labels = together(parts)
    found = measured(task(name, num_classes=10), *parts)
    shares = torch.tensor(scores).softmax(1).numpy()
    assert found == pytest.approx(
        {
            "loss": metrics.log_loss(labels, shares),
            "accuracy": metrics.accuracy_score(labels, scores.argmax(1)),
            "top5": metrics.top_k_accuracy_score(labels, scores, k=5),
        },
        rel=1e-5,
    )


@pytest.mark.parametrize(("classes", "reported"), [(5, False), (6, True)])
def test_top5_needs_six_classes(classes: int, reported: bool) -> None:
    assert (
        "top5" in measured(task("classification", num_classes=classes), *batches(40, classes))
    ) is reported


@pytest.mark.parametrize("name", ["tabular-classification", "tabular", "physics"])
def test_areas_under_the_roc_curve(name: str) -> None:
    parts = batches(300, 3)
    scores, labels = together(parts)
    found = measured(task(name, num_classes=3, classes=("gluon", "W boson", "top")), *parts)
    shares = torch.tensor(scores).softmax(1).numpy()
    areas = [metrics.roc_auc_score(labels == label, shares[:, label]) for label in range(3)]
    assert found == pytest.approx(
        {
            "loss": metrics.log_loss(labels, shares),
            "accuracy": metrics.accuracy_score(labels, scores.argmax(1)),
            "auroc": metrics.roc_auc_score(labels, shares, multi_class="ovr", average="macro"),
            "auroc_gluon": areas[0],
            "auroc_W_boson": areas[1],
            "auroc_top": areas[2],
        },
        rel=1e-5,
    )


def test_two_classes_have_one_area() -> None:
    parts = batches(100, 2)
    scores, labels = together(parts)
    found = measured(task("tabular", num_classes=2), *parts)
    assert set(found) == {"loss", "accuracy", "auroc"}
    assert found["auroc"] == pytest.approx(
        metrics.roc_auc_score(labels, scores[:, 1] - scores[:, 0]), rel=1e-5
    )


@pytest.mark.parametrize("classes", [(), ("a", "a", "b"), ("a.b", "a b", "c")])
def test_classes_without_names_of_their_own_are_told_by_label(classes: tuple[str, ...]) -> None:
    found = task("tabular", num_classes=3, classes=classes).metrics()
    assert {name for name in found if "_" in name} == {"auroc_0", "auroc_1", "auroc_2"}


@pytest.mark.parametrize("column", [False, True])
def test_regression(column: bool) -> None:
    prediction = torch.randn(200, generator=GENERATOR)
    target = prediction + torch.randn(200, generator=GENERATOR)
    given = prediction[:, None] if column else prediction
    found = measured(task("regression"), (given[:70], target[:70]), (given[70:], target[70:]))
    assert found == pytest.approx(
        {
            "loss": metrics.mean_squared_error(target, prediction),
            "mae": metrics.mean_absolute_error(target, prediction),
            "r2": metrics.r2_score(target, prediction),
        },
        rel=1e-4,
    )


def test_a_regression_of_several_numbers_and_of_whole_ones() -> None:
    prediction, target = torch.randn(50, 2, generator=GENERATOR), torch.arange(100).reshape(50, 2)
    found = measured(task("regression"), (prediction, target))
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(target, prediction), rel=1e-5)


def test_one_sample_has_no_variance_to_tell() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = measured(task("regression"), (torch.ones(1, 1), torch.zeros(1)))
    assert np.isnan(found["r2"])
    assert found["mae"] == 1


def test_directions() -> None:
    for name, better in {"auroc": True, "accuracy": True, "auroc_1": True, "loss": False}.items():
        assert task("tabular", num_classes=3)._meters["val"].higher_is_better(name) is better
    for name, better in {"mae": False, "r2": True}.items():
        assert task("regression")._meters["val"].higher_is_better(name) is better


@pytest.mark.parametrize(
    ("name", "facts", "batch", "message"),
    [
        ("regression", {}, (torch.zeros(4, 3), torch.zeros(4)), "the model returns shape (4, 3)"),
        ("tabular", {"num_classes": 3}, (torch.zeros(4, 2), torch.zeros(4).long()), "logits for 2 classes"),
        ("tabular", {"num_classes": 3}, (torch.zeros(4), torch.zeros(4).long()), "returns shape (4,)"),
    ],
)
def test_models_that_do_not_fit(name: str, facts: dict[str, int], batch: Any, message: str) -> None:
    with pytest.raises(MaseError) as caught:
        task(name, **facts).check(batch, batch)
    assert message in str(caught.value)


def test_data_for_another_task() -> None:
    with pytest.raises(MaseError, match="does not say how many classes"):
        make_task("tabular", Returns(), TrainConfig(), make_data("diabetes"))


def test_each_is_registered_once() -> None:
    assert {"classification", "tabular-classification", "regression"} <= set(TASKS)


def test_a_table_is_classified(tmp_path: Path) -> None:
    data = make_data("iris", batch_size=32)
    net = nn.Linear(4, 3)
    fit(net, data, TrainConfig(max_epochs=30, learning_rate=3e-2, report_to="none"), tmp_path, data.task)
    assert evaluate(net, data, "test", data.task)["test/auroc"] > 0.98


def test_a_linear_regression_is_that_of_sklearn(tmp_path: Path) -> None:
    data: Any = make_data("diabetes", batch_size=32, standardize_target=True)
    net = nn.Linear(10, 1)
    fit(net, data, TrainConfig(max_epochs=30, learning_rate=1e-2, report_to="none"), tmp_path, data.task)
    (x, y), (test_x, test_y) = data.splits.train.tensors, data.splits.test.tensors
    oracle = LinearRegression().fit(x, y).score(test_x, test_y)
    assert evaluate(net, data, "test", data.task)["test/r2"] == pytest.approx(oracle, abs=0.03)

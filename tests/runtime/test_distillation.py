"""Distillation: the loss by hand, what a teacher is and is not, runs that are cut off, the passes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import mase
from mase.ir.diagnostics import MaseError
from mase.passes import Context
from mase.runtime.data import make_data
from mase.runtime.tasks import make_task
from mase.runtime.trainer import TrainConfig, fit
from mase.runtime.training.checkpoint import read_checkpoint
from mase.runtime.training.distillation import Distillation
from tests.runtime.nets import SETTINGS, equal, toy


def distilled(student: nn.Module, teacher: nn.Module, **settings: Any) -> Any:
    config, data = TrainConfig(distill="float", **settings), make_data("toy-tiny")
    task = make_task("cls", student, config, data)
    task.distillation = Distillation(task, make_task("cls", teacher, config, data))
    return task


def test_the_loss_is_that_of_hinton_and_others() -> None:
    student, teacher = toy(0), toy(1)
    task = distilled(student, teacher, distill_weight=0.7, temperature=3.0)
    batch = make_data("toy-tiny").example_batch()
    found = task.distillation.loss(task.step(batch), batch)
    inputs, labels = batch
    ours, theirs = student(inputs).double(), teacher(inputs).double()
    hard = -ours.log_softmax(1)[torch.arange(len(labels)), labels].mean()
    p, q = (theirs / 3).softmax(1), (ours / 3).softmax(1)
    soft = 9 * (p * (p / q).log()).sum(1).mean()
    assert found.item() == pytest.approx((0.3 * hard + 0.7 * soft).item(), rel=1e-5)
    found.backward()
    assert all(weight.grad is not None for weight in student.parameters())
    assert all(weight.grad is None for weight in teacher.parameters())


def test_layers_can_be_like_the_teachers() -> None:
    student, teacher = toy(0), toy(1)
    task = distilled(student, teacher, distill_weight=0.0, distill_features=["1", "3"], feature_weight=2.0)
    inputs, labels = make_data("toy-tiny").example_batch()
    step = task.step((inputs, labels))
    found = task.distillation.loss(step, (inputs, labels)) - step.loss
    nets: list[Any] = [student, teacher]
    hidden = [(net[:2](inputs), net[:4](inputs)) for net in nets]
    ratios = [((a - b) ** 2).mean() / (b**2).mean() for a, b in zip(*hidden, strict=True)]
    assert found.item() == pytest.approx(2 * sum(r.item() for r in ratios) / 2, rel=1e-5)
    with pytest.raises(MaseError, match="share no module 'layers"):
        distilled(toy(), toy(), distill_features=["layers.*"])


def test_a_teacher_is_neither_trained_nor_saved(tmp_path: Path) -> None:
    teacher = nn.Sequential(*toy(1), nn.Dropout(0.5)).train()
    before = [weight.clone() for weight in teacher.parameters()]
    config = TrainConfig(**{**SETTINGS, "max_epochs": 1, "distill": "float"})
    fit(toy(), make_data("toy-tiny"), config, tmp_path, teacher=teacher)
    assert all(torch.equal(a, b) for a, b in zip(before, teacher.parameters(), strict=True))
    assert read_checkpoint(tmp_path / "training_ckpts/last.ckpt").keys() == toy().state_dict().keys()


def test_another_teacher_is_another_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = TrainConfig(**{**SETTINGS, "max_epochs": 1, "distill": "float"})
    runs: list[nn.Module] = []
    for seed in (1, 1, 2):
        runs.append(student := toy())
        fit(student, make_data("toy-tiny"), config, tmp_path, teacher=toy(seed))
        record = tmp_path / "training_ckpts/run.json"
        record.write_text(record.read_text().replace('"metrics"', '"lost"'))  # as if it had been cut off
    assert "another teacher" in caplog.text
    assert equal(runs[0], runs[1])
    assert not equal(runs[0], runs[2])


def test_what_does_not_fit_is_said_before_anything_is_written(tmp_path: Path) -> None:
    wider = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    config = TrainConfig(**{**SETTINGS, "distill": "float"})
    with pytest.raises(MaseError, match="logits have shape"):
        fit(toy(), make_data("toy-tiny"), config, tmp_path, teacher=wider)
    with pytest.raises(MaseError, match="there is no teacher"):
        fit(toy(), make_data("toy-tiny"), config, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("scales", ["", ', scales="learned"'])
def test_a_quantized_graph_learns_from_its_float_self(tmp_path: Path, scales: str) -> None:
    graph = mase.trace(toy(), args=(torch.randn(2, 1, 2, 2),))
    graph.header.data = {"source": "toy-tiny"}
    weight = "int<4>" if scales else "fixed<4,3>"
    mase.Pipeline(f'quantize{{default={{data_in="{weight}", weight="{weight}"}}{scales}}}').run(graph)
    results: list[Any] = []
    for options in ("", 'distill="float", distill_features=["1", "3"], '):
        trained = graph.copy()
        mase.Pipeline(f"train{{{options}max_epochs=2, progress=false}}").run(trained)
        results.append(trained)
    assert not torch.equal(results[0].state["1.weight"], results[1].state["1.weight"])


def test_another_graph_or_file_teaches(tmp_path: Path) -> None:
    graph = mase.trace(toy(), args=(torch.randn(2, 1, 2, 2),))
    graph.header.data = {"source": "toy-tiny"}
    mase.save(graph, tmp_path / "teacher.toml")
    torch.save(toy().state_dict(), tmp_path / "teacher.pt")
    weights: list[Any] = []
    for teacher in ("float", str(tmp_path / "teacher.toml"), str(tmp_path / "teacher.pt")):
        student = graph.copy()
        ctx = Context(student)
        mase.Pipeline(f"train{{distill={teacher!r}, max_epochs=1, progress=false}}".replace("'", '"')).run_in(
            ctx, []
        )
        weights.append(student.state["1.weight"])
    assert torch.equal(weights[0], weights[1])
    assert torch.equal(weights[0], weights[2])
    with pytest.raises(MaseError, match="there is no teacher at 'nowhere"):
        mase.Pipeline('train{distill="nowhere.toml"}').run(graph)


@pytest.mark.slow
def test_two_bits_learn_no_worse_from_a_teacher() -> None:
    """Digits in two bits over three seeds."""
    from mase.frontends.zoo import find_model

    torch.manual_seed(0)
    graph = mase.trace(find_model("digits-cnn")(), args=(torch.randn(2, 1, 8, 8),))
    graph.header.data = {"source": "digits"}
    common = 'learning_rate=2e-3, scheduler="cosine", progress=false'
    mase.Pipeline(f"train{{max_epochs=8, {common}}}").run(graph)
    mase.Pipeline('quantize{default={data_in="fixed<4,2>", weight="fixed<2,1>"}}').run(graph)
    scores: dict[str, list[float]] = {"": [], 'distill="float", temperature=4.0, ': []}
    for option, found in scores.items():
        for seed in range(3):
            ctx = Context(graph.copy(), seed=seed)
            mase.Pipeline(f"train{{{option}max_epochs=5, {common}}},eval").run_in(ctx, [])
            found.append(ctx.metrics["test/accuracy"]["trained"])
    plain, taught = (sum(found) / len(found) for found in scores.values())
    assert taught >= plain - 0.005, scores

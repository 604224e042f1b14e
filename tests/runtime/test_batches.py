"""Batches of several named inputs: how they reach the model, and what is said if they do not fit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchmetrics import MeanAbsoluteError, Metric

import mase
from mase.ir.diagnostics import MaseError
from mase.runtime.tasks import register_task
from mase.runtime.tasks.base import Step, Task
from mase.runtime.tasks.inputs import split_batch
from mase.runtime.tasks.outputs import logits_of
from mase.runtime.trainer import TrainConfig, evaluate, fit


class Weighted(nn.Module):
    """Two inputs that a mapping gives by name, one of them optional, and an output as transformers has."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head = nn.Linear(3, 2)

    def forward(self, values: Tensor, mask: Tensor, bias: Tensor | None = None) -> dict[str, Tensor]:
        hidden = (values * mask.unsqueeze(-1)).sum(1)
        return {"hidden": hidden, "logits": self.head(hidden) if bias is None else self.head(hidden) + bias}


class Named(pl.LightningDataModule):
    """Mappings, as the tokenizers and collators of transformers make them."""

    num_classes = 2

    def __init__(self, *, without: str = "") -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        values = torch.randn(32, 5, 3, generator=generator)
        mask = (torch.rand(32, 5, generator=generator) > 0.3).float()
        labels = ((values * mask.unsqueeze(-1)).sum((1, 2)) > 0).long()
        samples = [
            {"unused": torch.zeros(1), "values": v, "mask": m, "labels": y}
            for v, m, y in zip(values, mask, labels, strict=True)
        ]
        self.samples = [{key: value for key, value in s.items() if key != without} for s in samples]

    def loader(self) -> Any:
        return DataLoader(self.samples, batch_size=8)  # pyright: ignore[reportArgumentType]

    train_dataloader = val_dataloader = test_dataloader = loader


def test_a_model_takes_the_inputs_that_it_knows_by_name(tmp_path: Path) -> None:
    net, data = Weighted(), Named()
    metrics = fit(net, data, TrainConfig(max_epochs=10, learning_rate=0.05, report_to="none"), tmp_path)
    assert metrics["val/accuracy"] > 0.9
    logits = [net(batch["values"], batch["mask"])["logits"] for batch in data.loader()]
    labels = [batch["labels"] for batch in data.loader()]
    expected = nn.functional.cross_entropy(torch.cat(logits), torch.cat(labels))
    assert metrics["val/loss"] == pytest.approx(expected.item(), rel=1e-6)


def test_a_lowered_graph_takes_them_too(tmp_path: Path) -> None:
    net, data = Weighted(), Named()
    batch = next(iter(data.loader()))
    graph = mase.trace(net, kwargs={"mask": batch["mask"], "values": batch["values"]})
    lowered = mase.lower(graph)
    assert evaluate(lowered, data) == pytest.approx(evaluate(net, data), rel=1e-6)
    mase.Pipeline('quantize{default={data_in="fixed<8,4>", weight="fixed<8,6>"}}').run(graph)
    quantized = mase.lower(graph)
    fit(quantized, data, TrainConfig(max_epochs=2, learning_rate=0.05, report_to="none"), tmp_path)
    assert not torch.equal(quantized.get_parameter("head.weight"), net.head.weight)


def test_an_input_that_the_model_lacks_is_said_before_the_first_step(tmp_path: Path) -> None:
    with pytest.raises(MaseError, match="the model needs mask, and a batch has unused, values"):
        fit(Weighted(), Named(without="mask"), TrainConfig(), tmp_path)
    with pytest.raises(MaseError, match=r"mapping with 'labels', found a mapping of 'unused', 'values', 'ma"):
        fit(Weighted(), Named(without="labels"), TrainConfig(), tmp_path)
    assert not list(tmp_path.iterdir())


class Sequences(Task):
    """Tokens weigh, generation is measured, and the optimizer is the task's own choice."""

    monitor = "val/mae"
    defaults = {"optimizer": "adamw", "learning_rate": 0.02, "warmup": 0.25}  # noqa: RUF012

    def metrics(self) -> Mapping[str, Metric]:
        return {"mae": MeanAbsoluteError()}

    def step(self, batch: Any) -> Step:
        inputs, labels = split_batch(batch)
        loss = nn.functional.cross_entropy(logits_of(self.call(inputs)), labels)
        return Step(loss, None, labels, size=int(inputs["mask"].sum()))

    def evaluation_step(self, batch: Any) -> Step:
        step = self.step(batch)
        generated = logits_of(self.call(split_batch(batch)[0])).argmax(1)
        return Step(step.loss, generated.float(), step.target.float(), size=step.size)


register_task("test-sequences")(Sequences)


def test_losses_weigh_by_size_and_generation_is_only_measured(tmp_path: Path) -> None:
    net, data = Weighted(), Named()
    config = TrainConfig(max_epochs=1, learning_rate=0.01, report_to="none")
    metrics = fit(net, data, config, tmp_path, "test-sequences")
    assert set(metrics) == {"train/loss", "train/mae", "val/loss", "val/mae"}
    total = weight = 0.0
    for batch in data.loader():
        tokens = batch["mask"].sum()
        logits = net(batch["values"], batch["mask"])["logits"]
        total += (nn.functional.cross_entropy(logits, batch["labels"]) * tokens).item()
        weight += tokens.item()
    assert metrics["val/loss"] == pytest.approx(total / weight, rel=1e-6)
    settings = json.loads((tmp_path / "training_ckpts/run.json").read_text())["settings"]
    held = {name: settings[name] for name in ("optimizer", "learning_rate", "warmup", "scheduler", "monitor")}
    assert held == {
        "optimizer": "adamw",
        "learning_rate": 0.01,
        "warmup": 0.25,
        "scheduler": "none",
        "monitor": "val/mae",
    }

"""`fit` and `evaluate`: what they reach, write, leave alone and refuse."""

from __future__ import annotations

import csv
import logging
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.precision.precision import _PRECISION_INPUT_STR, _PRECISION_INPUT_STR_ALIAS
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from mase.ir.diagnostics import MaseError
from mase.runtime.data import make_data
from mase.runtime.trainer import TrainConfig, evaluate, fit, load_checkpoint
from mase.runtime.training.config import PRECISIONS
from mase.runtime.training.session import SMALL_BATCH, threads
from tests.runtime.nets import Noisy, equal, toy, train


class Foreign(pl.LightningDataModule):
    """A data module of somebody else, with as little as Lightning asks for."""

    num_classes = 2

    def __init__(self, labels: Tensor | None = None) -> None:
        super().__init__()
        labels = torch.tensor([0, 1] * 8) if labels is None else labels
        self.samples = TensorDataset(torch.randn(len(labels), 4), labels)

    def train_dataloader(self) -> Any:
        return DataLoader(self.samples, batch_size=8, shuffle=len(self.samples) > 0)

    def val_dataloader(self) -> Any:
        return DataLoader(self.samples, batch_size=8)


class Probe(nn.Module):
    """Notes what it sees while it is used as a layer."""

    def __init__(self, note: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.note = note

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.note(x)
        return x


def test_toy_learns(tmp_path: Path) -> None:
    net, data = toy(), make_data("toy-tiny", batch_size=16)
    config = TrainConfig(max_epochs=10, learning_rate=1e-2, scheduler="cosine")
    metrics = fit(net, data, config, tmp_path)
    assert metrics["val/accuracy"] >= 0.98
    assert evaluate(net, data, "val") == {name: metrics[name] for name in ("val/loss", "val/accuracy")}
    assert evaluate(net, data, "train") == {name: metrics[name] for name in ("train/loss", "train/accuracy")}


@pytest.mark.slow
def test_digits_baseline_is_in_reach(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 10)),
    )
    data = make_data("digits", batch_size=32)
    fit(net, data, TrainConfig(max_epochs=20, learning_rate=2e-3, scheduler="cosine"), tmp_path)
    assert evaluate(net, data)["test/accuracy"] >= 0.98


def test_evaluate_measures_what_a_plain_loop_measures() -> None:
    net, data = toy(), make_data("toy-tiny", batch_size=100)
    inputs, labels = data.splits.test.tensors  # pyright: ignore[reportAttributeAccessIssue]
    logits = net(inputs)
    metrics = evaluate(net, data)
    assert metrics["test/accuracy"] == pytest.approx((logits.argmax(1) == labels).double().mean().item())
    assert metrics["test/loss"] == pytest.approx(nn.functional.cross_entropy(logits, labels).item())
    assert evaluate(net, data) == metrics


def test_the_best_epoch_is_kept(tmp_path: Path) -> None:
    """A learning rate so high that the last weights are not the best."""
    net = toy()
    metrics = train(
        tmp_path, net, optimizer="sgd", learning_rate=0.5, max_epochs=8, scheduler="none", warmup=0
    )
    with next(tmp_path.glob("csv/*/metrics.csv")).open() as file:
        history = [row for row in csv.DictReader(file) if row["val/accuracy"]]
    best = max(history, key=lambda row: (float(row["val/accuracy"]), -float(row["val/loss"])))
    assert best is not history[-1], "the test shows nothing"
    assert metrics["val/accuracy"] == pytest.approx(float(best["val/accuracy"]))
    assert metrics["val/loss"] == pytest.approx(float(best["val/loss"]))

    other = toy(seed=1)
    load_checkpoint(other, tmp_path / "training_ckpts/best.ckpt")
    assert equal(net, other)


def test_a_monitored_loss_chooses_the_lowest(tmp_path: Path) -> None:
    metrics = train(tmp_path, toy(), monitor="val/loss", max_epochs=4)
    with next(tmp_path.glob("csv/*/metrics.csv")).open() as file:
        losses = [float(row["val/loss"]) for row in csv.DictReader(file) if row["val/loss"]]
    assert metrics["val/loss"] == pytest.approx(min(losses))


def test_the_training_split_need_not_be_measured(tmp_path: Path) -> None:
    metrics = train(tmp_path, toy(), max_epochs=1, measure_train=False)
    assert sorted(metrics) == ["val/accuracy", "val/loss"]


def test_the_seed_decides_everything(tmp_path: Path) -> None:
    nets = [Noisy(), Noisy(), Noisy()]
    for number, (net, seed) in enumerate(zip(nets, (0, 0, 1), strict=True)):
        torch.rand(number + 1)  # whatever was drawn before
        train(tmp_path / str(number), net, seed=seed, max_epochs=2)
    assert equal(nets[0], nets[1])
    assert not equal(nets[0], nets[2])


def test_what_it_writes(tmp_path: Path) -> None:
    train(tmp_path, report_to="tensorboard", max_epochs=2)
    files = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()}
    assert {f"training_ckpts/{name}" for name in ("best.ckpt", "last.ckpt", "run.json")} < files
    assert "csv/version_0/metrics.csv" in files
    assert sum("events.out.tfevents" in file for file in files) == 1
    assert not any("partial" in file for file in files)


def test_it_leaves_the_process_as_it_was(tmp_path: Path) -> None:
    def state() -> list[Any]:
        return [
            *(torch.random.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()),
            *(torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()),
            *(torch.is_grad_enabled(), logging.getLogger("pytorch_lightning").level),
        ]

    before, net = state(), Noisy().eval()
    net.drop.train()
    train(tmp_path, net, max_epochs=1)
    evaluate(net, make_data("toy-tiny"))
    assert net.steps == 4  # it was trained in training mode all the same
    assert state() == before
    assert (net.training, net.norm.training, net.drop.training) == (False, False, True)


@pytest.mark.parametrize(
    ("precision", "inside"),
    [("bf16-mixed", torch.bfloat16), ("64-true", torch.float64), ("32", torch.float32)],
)
def test_precision_holds_inside_and_ends_outside(tmp_path: Path, precision: str, inside: torch.dtype) -> None:
    seen: set[torch.dtype] = set()
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 8), Probe(lambda x: seen.add(x.dtype)), nn.Linear(8, 2))
    train(tmp_path, net, precision=precision, max_epochs=1)
    evaluate(net, make_data("toy-tiny"), config=TrainConfig(precision=precision))
    assert seen == {inside}
    assert {weight.dtype for weight in net.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({"max_epochs": 3}, 12),
        ({"max_epochs": 3, "max_steps": 6}, 6),
        ({"max_epochs": -1, "max_steps": 1}, 1),
        ({"max_epochs": 2, "accumulate_grad_batches": 3}, 8),
        ({"fast_dev_run": True}, 1),
        ({"fast_dev_run": 2}, 2),
    ],
)
def test_how_long_it_trains(tmp_path: Path, settings: dict[str, Any], steps: int) -> None:
    net = Noisy()
    metrics = train(tmp_path, net, **settings)
    assert net.steps == steps
    assert set(metrics) == {"train/loss", "train/accuracy", "val/loss", "val/accuracy"}


def test_small_batches_run_on_one_thread() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for count, work, expected in ((None, 0, 1), (None, SMALL_BATCH, 2), (2, 0, 2), (1, 1e12, 1)):
            with threads(count, work=work):
                assert torch.get_num_threads() == expected
    finally:
        torch.set_num_threads(before)


def test_a_foreign_data_module(tmp_path: Path) -> None:
    train(tmp_path, data=Foreign(), max_epochs=1)
    with pytest.raises(MaseError, match="has no test split"):
        evaluate(toy(), Foreign())


def narrow() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 1))


def broken() -> nn.Module:
    net = toy()
    nn.init.constant_(net[1].bias, float("nan"))  # pyright: ignore[reportArgumentType]
    return net


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"module": narrow()}, "logits for 1 classes, but the data have 2(.|\n)*help: .*2 outputs"),
        ({"module": toy(), "data": make_data("digits")}, "data set 'digits'(.|\n)*help: .*f32.N,1,8,8"),
        ({"module": nn.Flatten(0)}, r"returns shape \(8,\) for 2 samples"),
        ({"module": broken()}, "NaN or infinite: 1.bias"),
        ({"data": Foreign(torch.zeros(0, dtype=torch.int64))}, "train split .*is empty|val split .*is empty"),
        ({"data": Foreign(torch.tensor([0, 2] * 8))}, "but the data have 3"),
        ({"data": pl.LightningDataModule()}, "does not say how many classes"),
        ({"accelerator": "abacus"}, "Lightning cannot train so here"),
        ({"strategy": "ddpp"}, "did you mean 'ddp'"),
        ({"optimizer": "adamm"}, "did you mean 'adam"),
        ({"scheduler": "cosin"}, "did you mean 'cosine'"),
        ({"precision": "bf16-mix"}, "did you mean 'bf16-mixed'"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"max_epochs": 0}, "max_epochs is 0"),
        ({"max_epochs": -1}, "neither max_epochs nor max_steps"),
        ({"patience": 0}, "patience is 0"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_written(
    tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(MaseError, match=message):
        train(tmp_path, **{"module": toy(), **arguments})
    assert not list(tmp_path.iterdir())


def test_an_unknown_split() -> None:
    with pytest.raises(MaseError, match="did you mean 'val'"):
        evaluate(toy(), make_data("toy-tiny"), "vall")  # pyright: ignore[reportArgumentType]


def test_an_unknown_task(tmp_path: Path) -> None:
    with pytest.raises(MaseError, match="did you mean 'classification'"):
        fit(toy(), make_data("toy-tiny"), TrainConfig(), tmp_path, task="clasification")


def test_divergence_is_said(tmp_path: Path) -> None:
    with pytest.raises(MaseError, match=r"training diverged(.|\n)*lower learning_rate"):
        train(tmp_path, toy(), learning_rate=1e30, optimizer="sgd", monitor="val/loss", warmup=0)


def test_a_checkpoint_that_does_not_fit_lists_every_key(tmp_path: Path) -> None:
    train(tmp_path, nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), max_epochs=1)
    other = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2, bias=False))
    before = [weight.clone() for weight in other.parameters()]
    with pytest.raises(MaseError) as caught:
        load_checkpoint(other, tmp_path / "training_ckpts/best.ckpt")
    for line in ("missing: 3.weight", "1.weight is [2, 4], the model has [3, 4]", "1.bias is [2]"):
        assert line in str(caught.value)
    assert all(torch.equal(a, b) for a, b in zip(before, other.parameters(), strict=True))
    with pytest.raises(MaseError, match=r"unexpected: 1\.bias"):
        load_checkpoint(
            nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False)), tmp_path / "training_ckpts/best.ckpt"
        )


def test_files_that_are_no_checkpoints(tmp_path: Path) -> None:
    with pytest.raises(MaseError, match="no checkpoint"):
        load_checkpoint(toy(), tmp_path / "none.ckpt")
    (tmp_path / "text.ckpt").write_text("hello")
    torch.save({"weights": 1}, tmp_path / "dict.ckpt")
    torch.save({"state_dict": toy().state_dict()}, tmp_path / "bare.ckpt")
    torch.save(toy(), tmp_path / "pickle.ckpt")
    for name in ("text", "dict", "pickle"):
        with pytest.raises(MaseError, match="is not a Lightning checkpoint"):
            load_checkpoint(toy(), tmp_path / f"{name}.ckpt")
    with pytest.raises(MaseError, match=r"do not start with 'model\.': 1\.weight"):
        load_checkpoint(toy(), tmp_path / "bare.ckpt")


def test_precisions_are_lightnings() -> None:
    assert set(PRECISIONS) == {*get_args(_PRECISION_INPUT_STR), *get_args(_PRECISION_INPUT_STR_ALIAS)}


def test_progress_goes_to_standard_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    train(tmp_path / "a", max_epochs=1)
    silent = capfd.readouterr()
    train(tmp_path / "b", max_epochs=1, progress=True)
    shown = capfd.readouterr()
    assert (silent.out, silent.err, shown.out) == ("", "", "")
    assert "Epoch" in shown.err


def test_a_script_prints_nothing_of_lightnings(tmp_path: Path) -> None:
    script = f"from tests.runtime.nets import train; from pathlib import Path; train(Path({str(tmp_path)!r}))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_importing_the_trainer_loads_nothing_heavy() -> None:
    script = "import sys, mase.runtime.trainer; print({'torch', 'pytorch_lightning'} & set(sys.modules))"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.check_output([sys.executable, "-c", script], env=env, text=True) == "set()\n"

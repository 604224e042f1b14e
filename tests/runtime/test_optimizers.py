"""Optimizers: those of torch with their options, what decays and what does not, clipped gradients."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import mase
from mase.ir.diagnostics import MaseError
from mase.passes import Context
from mase.runtime.training.config import TrainConfig
from mase.runtime.training.groups import parameter_groups
from mase.runtime.training.optimizers import OPTIMIZERS, make_optimizer
from tests.runtime.nets import toy, train


def groups_of(net: nn.Module, decay: float = 0.0, no_decay: tuple[str, ...] = ("bias", "norm")) -> Any:
    return parameter_groups(net, weight_decay=decay, no_decay=no_decay)


@pytest.mark.parametrize("name", ["sgd", "Adam", "adamw", "RMSprop", "lbfgs", "nadam"])
def test_any_optimizer_of_torch(name: str) -> None:
    optimizer = make_optimizer(name, groups_of(toy()), learning_rate=0.5)
    assert type(optimizer).__name__.lower() == name.lower()
    assert optimizer.param_groups[0]["lr"] == 0.5
    assert optimizer.param_groups[0].get("weight_decay", 0) == 0  # also where torch's default is more


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("adamm", {}, "did you mean 'adam"),
        ("muon", {}, "optimizer 'muon'"),
        ("sgd", {"momentun": 0.9}, "did you mean 'momentum'"),
        ("sgd", {"lr": 0.9}, "'lr' is said by learning_rate"),
        ("sgd", {"nesterov": True}, "Nesterov momentum requires"),
        ("adamw", {"weight_decay": 0.9}, "'weight_decay' is said by weight_decay"),
    ],
)
def test_optimizers_that_cannot_be(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(MaseError, match=message):
        make_optimizer(name, groups_of(toy()), learning_rate=0.1, options=options)


def test_an_optimizer_without_weight_decay_refuses_it() -> None:
    with pytest.raises(MaseError, match="knows no weight decay"):
        make_optimizer("lbfgs", groups_of(toy(), 0.1), learning_rate=0.1)


def test_nothing_to_train() -> None:
    with pytest.raises(MaseError, match="no trainable parameter"):
        make_optimizer("adam", groups_of(toy().requires_grad_(False)), learning_rate=0.1)


def test_names_are_lower_case() -> None:
    assert {"adam", "sgd", "adamw"} <= set(OPTIMIZERS)
    assert all(name == name.lower() for name in OPTIMIZERS)


def test_options_reach_the_optimizer() -> None:
    options = {"betas": [0.9, 0.98], "amsgrad": True}
    adam = make_optimizer("adam", groups_of(toy(), 0.1), learning_rate=0.1, options=options)
    for group in adam.param_groups:
        assert (group["betas"], group["amsgrad"]) == ((0.9, 0.98), True)


class Mixed(nn.Module):
    """One parameter of each kind; the norm of a class that torch does not know."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(5, 4)
        self.first = nn.Linear(4, 4)
        self.norm = RootNorm(4)
        self.attend = nn.MultiheadAttention(4, 2)
        self.frozen = nn.Linear(4, 4).requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return self.first(self.norm(self.words(x)))


class RootNorm(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(size))


def test_what_decays() -> None:
    def names(*no_decay: str) -> dict[str, list[str]]:
        return {group.name: list(group.parameters) for group in groups_of(Mixed(), 0.1, no_decay)}

    weights = ["words.weight", "first.weight", "attend.in_proj_weight", "attend.out_proj.weight"]
    exempt = ["first.bias", "norm.gain", "attend.in_proj_bias", "attend.out_proj.bias"]
    assert names("bias", "norm") == {"weights": weights, "no decay": exempt}
    assert names("embedding")["no decay"] == ["words.weight"]
    assert names("attend.*")["no decay"] == [
        name for name, _ in Mixed().named_parameters() if "attend" in name
    ]
    assert list(names()) == ["weights"]
    assert "frozen.weight" not in {name for each in names().values() for name in each}
    with pytest.raises(MaseError, match=r"did you mean 'first\.bias'"):
        names("first.bia")


def test_learned_scales_never_decay_and_have_a_rate_of_their_own() -> None:
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    graph = mase.trace(net, args=(torch.randn(16, 4),))
    options = 'default={data_in="int<4>", weight="int<4,channel=0>"}, scales="learned"'
    data = [(torch.randn(16, 4), torch.zeros(16, dtype=torch.int64))]
    mase.Pipeline(f"quantize{{{options}}}").run(graph, data=_loader(data))
    module = mase.lower(graph)
    groups = parameter_groups(module, weight_decay=0.1, no_decay=[], scale_rate=0.1)
    assert [(g.name, g.weight_decay, g.rate) for g in groups] == [("weights", 0.1, 1.0), ("scales", 0.0, 0.1)]
    scales = set(groups[1].parameters)
    assert scales == {name for name, _ in module.named_parameters() if name.endswith("_scale")} != set()
    optimizer = make_optimizer("adamw", groups, learning_rate=0.01)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.01, 0.001])


def _loader(batches: list[tuple[Tensor, Tensor]]) -> Any:
    import pytorch_lightning as pl
    from torch.utils.data import DataLoader, TensorDataset

    class Data(pl.LightningDataModule):
        num_classes = 2

        def train_dataloader(self) -> Any:
            return DataLoader(TensorDataset(*batches[0]), batch_size=8)

        val_dataloader = test_dataloader = train_dataloader

    return Data()


def test_only_what_decays_shrinks(tmp_path: Path) -> None:
    """With gradients of 0, a step changes a weight by decay alone."""

    class Still(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 2)
            nn.init.ones_(self.fc.bias)
            self.before = self.fc.weight.detach().clone()

        def forward(self, x: Tensor) -> Tensor:
            return 0.0 * self.fc(x.flatten(1))

    net = Still()
    settings = {"optimizer": "sgd", "learning_rate": 0.5, "weight_decay": 0.1, "scheduler": "none"}
    train(tmp_path, net, **settings, warmup=0, max_steps=1, max_epochs=1, monitor="val/loss")
    torch.testing.assert_close(net.fc.weight, net.before * 0.95)
    assert net.fc.bias.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("by", ["norm", "value"])
def test_gradients_are_clipped(tmp_path: Path, by: str) -> None:
    """Plain SGD at rate 1 moves each weight by its clipped gradient."""
    net = toy()
    before = torch.cat([weight.detach().flatten() for weight in net.parameters()])
    settings = {
        "optimizer": "sgd",
        "learning_rate": 1.0,
        "weight_decay": 0.0,
        "scheduler": "none",
        "warmup": 0,
    }
    train(tmp_path, net, **settings, max_steps=1, max_epochs=1, gradient_clip=1e-3, gradient_clip_by=by)
    moved = torch.cat([weight.detach().flatten() for weight in net.parameters()]) - before
    size = moved.norm() if by == "norm" else moved.abs().max()
    assert size.item() == pytest.approx(1e-3, rel=1e-2)


def test_lists_of_the_recipe_reach_the_run(tmp_path: Path) -> None:
    graph = mase.trace(toy(), args=(torch.randn(2, 1, 2, 2),))
    graph.header.data = {"source": "toy-tiny"}
    text = (
        'train{optimizer="sgd", optimizer_options={momentum=0.9, nesterov=true}, weight_decay=0.01, '
        'no_decay=["bias", "1.*"], scheduler="polynomial", scheduler_options={power=2.0}, warmup=0.1, '
        "max_epochs=1, progress=false}"
    )
    ctx = Context(graph, output_dir=tmp_path)
    mase.Pipeline(text).run_in(ctx, [])
    said = json.loads((tmp_path / "training_ckpts/run.json").read_text())["settings"]
    assert said["optimizer_options"] == {"momentum": 0.9, "nesterov": True}
    assert said["no_decay"] == ["bias", "1.*"]
    notes = [d.message for d in ctx.diagnostics]
    assert any("2 weights (10,200 numbers) decay by 0.01" in note for note in notes), notes


def test_options_are_compared_with_what_there_is() -> None:
    with pytest.raises(MaseError, match="gradient_clip is -1"):
        TrainConfig(gradient_clip=-1)

"""The exact learning rate of each step, with transformers' and torch's own schedulers as the oracle."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, lr_scheduler
from torch.optim.optimizer import register_optimizer_step_pre_hook
from transformers import get_scheduler

from mase.ir.diagnostics import MaseError
from mase.runtime.training.schedulers import Course, make_course
from mase.runtime.training.schedules import SCHEDULES
from tests.runtime.nets import Noisy, train
from tests.runtime.test_resume import STEPS, killed

PEAK = 0.5


def sgd() -> SGD:
    return SGD([nn.Parameter(torch.zeros(1))], lr=PEAK)


def rates(optimizer: SGD, scheduler: Any, steps: int) -> list[float]:
    found: list[float] = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def ours(name: str, steps: int, **settings: Any) -> list[float]:
    optimizer = sgd()
    return rates(optimizer, make_course(name, optimizer, total_steps=steps, **settings).scheduler, steps)


@pytest.mark.parametrize(
    ("name", "options", "theirs", "arguments"),
    [
        ("constant_with_warmup", {}, "constant_with_warmup", {}),
        ("linear", {}, "linear", {}),
        ("cosine", {}, "cosine", {}),
        ("cosine", {"cycles": 1.5}, "cosine", {"num_cycles": 1.5}),
        ("polynomial", {"power": 2.0, "end": 0.02}, "polynomial", {"power": 2.0, "lr_end": 0.02 * PEAK}),
        ("cosine", {"end": 0.1}, "cosine_with_min_lr", {"min_lr_rate": 0.1}),
    ],
)
@pytest.mark.parametrize("warmup", [0, 7])
def test_transformers_schedules(name: str, options: Any, theirs: str, arguments: Any, warmup: int) -> None:
    """Theirs spends its first step of warm-up at a rate of 0; ours rises a step earlier."""
    optimizer = sgd()
    oracle = get_scheduler(theirs, optimizer, warmup, 40, scheduler_specific_kwargs=arguments)
    expected = rates(optimizer, oracle, 40)
    found = ours(name, 40, warmup=warmup, options=options)
    assert found[warmup:] == pytest.approx(expected[warmup:])
    assert found[: max(warmup - 1, 0)] == pytest.approx(expected[1 : max(warmup, 1)])


def test_a_share_of_the_run_is_as_many_steps() -> None:
    assert ours("linear", 40, warmup=0.175) == ours("linear", 40, warmup=7)
    with pytest.raises(MaseError, match="share of a run that has no end"):
        make_course("linear", sgd(), total_steps=float("inf"), warmup=0.1)


def test_exponential_and_step() -> None:
    assert ours("exponential", 5, options={"end": 1e-5}) == pytest.approx([PEAK * 0.1**i for i in range(5)])
    assert ours("step", 6) == pytest.approx([PEAK * f for f in (1, 1, 0.1, 0.1, 0.01, 0.01)])
    halves = [PEAK * f for f in (1, 1, 1, 0.5, 0.5, 0.5)]
    assert ours("step", 6, options={"steps": 2, "factor": 0.5}) == pytest.approx(halves)


def test_onecycle_is_torchs() -> None:
    optimizer = sgd()
    oracle = lr_scheduler.OneCycleLR(optimizer, PEAK, total_steps=30, pct_start=0.2)
    expected = rates(optimizer, oracle, 30 - 1)
    assert ours("onecycle", 30, options={"pct_start": 0.2})[:-1] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("StepLR", {"step_size": 2, "gamma": 0.5}),
        ("multisteplr", {"milestones": [1, 3]}),
        ("CosineAnnealingLR", {"T_max": 5}),
        ("ExponentialLR", {"gamma": 0.9}),
        ("CosineAnnealingWarmRestarts", {"T_0": 2, "T_mult": 2}),
    ],
)
def test_any_scheduler_of_torch_by_epochs(name: str, options: dict[str, Any]) -> None:
    optimizer = sgd()
    names = {each.lower(): each for each in vars(lr_scheduler)}
    oracle = getattr(lr_scheduler, names[name.lower()])(optimizer, **options)
    expected = rates(optimizer, oracle, 6)
    own = sgd()
    course = make_course(name, own, total_steps=600, options=options)
    found: list[float] = []
    for _ in range(6):
        found.append(own.param_groups[0]["lr"])
        own.step()
        course.end_epoch(0.0)
    assert course.by == "epoch"
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("higher", [True, False])
def test_plateau_follows_the_metric(higher: bool) -> None:
    optimizer = sgd()
    options = {"patience": 0, "factor": 0.5}
    course = make_course("plateau", optimizer, total_steps=9, options=options, higher_is_better=higher)
    found: list[float] = []
    for metric in (0.1, 0.2, 0.3, 0.2):
        course.end_epoch(metric)
        found += [group["lr"] for group in optimizer.param_groups]
    assert found == [PEAK, PEAK, PEAK, PEAK / 2] if higher else [PEAK, PEAK / 2, PEAK / 4, PEAK / 8]


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("cosin", {}, "did you mean 'cosine'"),
        ("LambdaLR", {}, "unknown scheduler"),
        ("steplr", {"options": {"step": 2}}, "did you mean 'step_size'"),
        ("steplr", {}, "step_size"),
        ("steplr", {"warmup": 3, "options": {"step_size": 2}}, "knows no warmup"),
        ("onecycle", {"options": {"max_lr": 2}}, "'max_lr' is said by learning_rate"),
        ("polynomial", {"options": {"pover": 2}}, "did you mean 'power'"),
    ],
)
def test_what_cannot_be_is_said(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(MaseError, match=message):
        make_course(name, sgd(), total_steps=10, **settings)


def test_an_endless_run_has_every_schedule() -> None:
    for name in SCHEDULES:
        course: Course = make_course(name, sgd(), total_steps=float("inf"))
        assert course.scheduler.get_last_lr() == [PEAK]


# ------------------------------------------------------------------------------------------------ in a run


@pytest.fixture
def seen() -> Iterator[list[float]]:
    """The learning rate of every optimizer step that is taken in this process."""
    found: list[float] = []
    note = register_optimizer_step_pre_hook(lambda own, *_: found.append(own.param_groups[0]["lr"]))
    yield found
    note.remove()


SETTINGS: dict[str, Any] = {
    "optimizer": "sgd",
    "learning_rate": PEAK,
    "weight_decay": 0.0,
    "max_epochs": 4,
}


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({"scheduler": "linear", "warmup": 3}, 16),
        ({"scheduler": "linear", "warmup": 0.25, "accumulate_grad_batches": 2}, 8),
        ({"scheduler": "cosine", "warmup": 2, "max_epochs": -1, "max_steps": 10}, 10),
        ({"scheduler": "cosine", "warmup": 0, "max_steps": 6}, 6),
        ({"scheduler": "onecycle", "warmup": 0}, 16),
    ],
)
def test_a_run_follows_its_schedule(
    tmp_path: Path, settings: dict[str, Any], steps: int, seen: list[float]
) -> None:
    expected = ours(settings["scheduler"], steps, warmup=settings["warmup"])
    seen.clear()
    train(tmp_path, Noisy(), **{**SETTINGS, **settings})
    assert seen == pytest.approx(expected, rel=1e-6)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize(
    "settings",
    [
        {"scheduler": "steplr", "scheduler_options": {"step_size": 1, "gamma": 0.5}},
        {
            "scheduler": "plateau",
            "scheduler_options": {"patience": 0, "threshold": 0.9},
            "monitor": "val/loss",
        },
        {"scheduler": "onecycle", "accumulate_grad_batches": 2},
    ],
)
def test_a_resumed_run_follows_it_too(tmp_path: Path, settings: dict[str, Any], seen: list[float]) -> None:
    """Lightning's own epoch-wise stepping comes after the checkpoint, so a resumed run would lack a step."""
    settings = {**SETTINGS, "warmup": 0, **settings}
    whole, resumed = Noisy(), Noisy()
    train(tmp_path / "whole", whole, **settings)
    expected = [*seen]
    seen.clear()
    killed(tmp_path / "cut", 2 * STEPS + 2, **settings)
    train(tmp_path / "cut", resumed, **settings)
    assert len(set(expected)) > 1, "the test shows nothing"
    assert seen == expected[len(expected) // 2 :]
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))

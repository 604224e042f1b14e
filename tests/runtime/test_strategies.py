"""Strategies: which exist, which are refused and why, and that Lightning gets what was asked for."""

from __future__ import annotations

from typing import Any

import pytest
import pytorch_lightning as pl
from pytorch_lightning.strategies import StrategyRegistry

import mase
from mase.ir.diagnostics import MaseError
from mase.runtime.data import make_data
from mase.runtime.trainer import TrainConfig, evaluate
from mase.runtime.training.strategies import STRATEGIES
from tests.runtime.nets import equal, toy


def test_every_strategy_of_lightning_is_taken_or_refused_with_a_reason() -> None:
    known = set(StrategyRegistry.available_strategies())
    assert known > set(STRATEGIES) - {"auto"}
    for name in sorted(known - set(STRATEGIES)):
        with pytest.raises(MaseError, match=r"copies this process|a folder of parts") as caught:
            TrainConfig(strategy=name)
        assert "unknown" not in str(caught.value)


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        ("dpd", r"unknown strategy 'dpd'\n.*did you mean 'ddp'"),
        ("fspd", "did you mean 'fsdp'"),
        ("ddp_spawn", r"stay in the copies\n.*use \"ddp\""),
        ("ddp_notebook", r"stay in the copies\n.*use \"ddp\""),
        ("deepspeed_stage_2", r"folder of parts(.|\n)*use \"ddp\""),
    ],
)
@pytest.mark.parametrize("work", ["train", "eval"])
def test_a_pipeline_says_so_before_it_runs(work: str, strategy: str, message: str) -> None:
    graph = mase.trace(toy(), args=(_inputs(),))
    graph.header.data = {"source": "toy-tiny"}
    with pytest.raises(MaseError, match=message):
        mase.Pipeline(f'{work}{{strategy="{strategy}"}}').run(graph)


def _inputs() -> Any:
    return make_data("toy-tiny").example_batch()[0]


def test_what_was_asked_for_reaches_lightning(monkeypatch: pytest.MonkeyPatch) -> None:
    class AskedError(Exception):
        pass

    def trainer(**options: Any) -> None:
        names = ("strategy", "devices", "num_nodes", "accelerator", "precision")
        raise AskedError({name: options[name] for name in names})

    monkeypatch.setattr(pl, "Trainer", trainer)
    wanted = {
        "strategy": "fsdp",
        "devices": 4,
        "num_nodes": 2,
        "accelerator": "gpu",
        "precision": "bf16-true",
    }
    with pytest.raises(AskedError) as caught:
        evaluate(toy(), make_data("toy-tiny"), config=TrainConfig(**wanted))
    assert caught.value.args == (wanted,)


@pytest.mark.parametrize(("strategy", "lent"), [("fsdp", True), ("auto", False)])
def test_shards_are_left_in_a_copy(monkeypatch: pytest.MonkeyPatch, strategy: str, lent: bool) -> None:
    """Fully sharded training leaves each process a part of every parameter that it is given."""

    class Sharding:
        def __init__(self, **options: Any) -> None: ...

        def test(self, learner: Any, **options: Any) -> list[dict[str, float]]:
            assert learner.data is data
            for weight in learner.parameters():
                weight.data = weight.data.flatten()[:0]
            return [{"test/loss": 0.0}]

    monkeypatch.setattr(pl, "Trainer", Sharding)
    net, whole, data = toy(), toy(), make_data("toy-tiny")
    evaluate(net, data, config=TrainConfig(strategy=strategy))
    assert equal(net, whole) == lent

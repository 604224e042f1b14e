"""Strategies: which exist, which are refused and why, and that Lightning gets what was asked for."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Any
from unittest.mock import MagicMock

import pytest
import pytorch_lightning as pl
from pytorch_lightning.strategies import DeepSpeedStrategy, FSDPStrategy, StrategyRegistry

import mase
from mase.ir.diagnostics import MaseError
from mase.runtime.data import make_data
from mase.runtime.trainer import TrainConfig, evaluate
from mase.runtime.training.strategies import STRATEGIES, make_strategy
from tests.runtime.nets import equal, toy
from tests.runtime.standing_in import standing_in


def test_every_strategy_of_lightning_is_taken_or_refused_with_a_reason() -> None:
    known = set(StrategyRegistry.available_strategies())
    assert known > set(STRATEGIES) - {"auto"}
    for name in sorted(known - set(STRATEGIES)):
        with pytest.raises(MaseError, match="copies this process") as caught:
            TrainConfig(strategy=name)
        assert "unknown" not in str(caught.value)


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        ("dpd", r"unknown strategy 'dpd'\n.*did you mean 'ddp'"),
        ("fspd", "did you mean 'fsdp'"),
        ("ddp_spawn", r"stay in the copies\n.*use \"ddp\""),
        ("ddp_notebook", r"stay in the copies\n.*use \"ddp\""),
        pytest.param(
            *("deepspeed_stage_2", r"needs the package deepspeed(.|\n)*pip install deepspeed"),
            marks=pytest.mark.skipif(find_spec("deepspeed") is not None, reason="deepspeed is installed"),
        ),
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
    asked: dict[str, Any] = {}

    class AskedError(Exception):
        pass

    def trainer(**options: Any) -> None:
        asked.update(options)
        raise AskedError

    monkeypatch.setattr(pl, "Trainer", trainer)
    machine: dict[str, Any] = {"devices": 4, "num_nodes": 2, "accelerator": "gpu", "precision": "bf16-true"}
    options = {"state_dict_type": "sharded", "forward_prefetch": True}
    config = TrainConfig(strategy="fsdp", strategy_options=options, **machine)
    with pytest.raises(AskedError):
        evaluate(toy(), make_data("toy-tiny"), config=config)
    assert {name: asked[name] for name in machine} == machine
    strategy = asked["strategy"]
    assert type(strategy) is FSDPStrategy
    assert (strategy._state_dict_type, strategy.kwargs["forward_prefetch"]) == ("sharded", True)


def test_a_strategy_gets_what_its_name_and_its_options_say() -> None:
    made: dict[str, Any] = {}

    class DeepSpeed(DeepSpeedStrategy):
        def __init__(self, *, stage: int = 2, config: Any = None, offload_optimizer: bool = False) -> None:
            made.update(stage=stage, config=config, offload_optimizer=offload_optimizer)

    with standing_in("deepspeed_stage_2_offload", DeepSpeed), standing_in("deepspeed_stage_2", DeepSpeed):
        make_strategy("deepspeed_stage_2_offload", {"config": "ds.json"})
        assert made == {"stage": 2, "config": "ds.json", "offload_optimizer": True}
        with pytest.raises(MaseError, match=r"takes no option 'confg'\n.*did you mean 'config'"):
            make_strategy("deepspeed_stage_2", {"confg": "ds.json"})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strategy_options": {"state_dict_type": "full"}}, "strategy_options without a strategy"),
        ({"strategy": "ddp", "strategy_options": {"bucket": 1}, "accelerator": "cpu"}, "takes no option"),
        ({"strategy": "fsdp", "accelerator": "cpu"}, "requires a GPU accelerator"),
        ({"strategy": "xla", "accelerator": "cpu"}, "Lightning cannot train so here"),
    ],
)
def test_what_cannot_be_is_an_error_that_says_why(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(MaseError, match=message):
        evaluate(toy(), make_data("toy-tiny"), config=TrainConfig(**settings))


def test_deepspeed_is_refused_where_it_would_fail_or_ignore(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_DEEPSPEED_AVAILABLE", "_DEEPSPEED_GREATER_EQUAL_0_16"):
        monkeypatch.setattr(f"pytorch_lightning.strategies.deepspeed.{name}", True)
    monkeypatch.setattr("mase.runtime.training.strategies.find_spec", lambda _: True)
    monkeypatch.setitem(sys.modules, "deepspeed", MagicMock())  # as if it were here
    with pytest.raises(MaseError, match="clips gradients by their norm alone"):
        TrainConfig(strategy="deepspeed", gradient_clip_by="value")
    config = TrainConfig(strategy="deepspeed", accelerator="cpu")
    with pytest.raises(MaseError, match="deepspeed needs GPUs with CUDA"):
        evaluate(toy(), make_data("toy-tiny"), config=config)


@pytest.mark.parametrize(("strategy", "lent"), [("fsdp", True), ("auto", False)])
def test_shards_are_left_in_a_copy(monkeypatch: pytest.MonkeyPatch, strategy: str, lent: bool) -> None:
    """Fully sharded training leaves each process a part of every parameter that it is given."""

    class Sharding:
        strategy = accelerator = None

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

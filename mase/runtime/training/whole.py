"""The weights of a model whose parameters are spread over processes, put together."""

from __future__ import annotations

from importlib import import_module
from typing import Any, cast

import pytorch_lightning as pl
from pytorch_lightning.strategies import DeepSpeedStrategy
from torch import Tensor
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

__all__ = ["whole_state"]


def whole_state(trainer: pl.Trainer) -> dict[str, Any]:
    """The state of the task in whole tensors on the CPU, by the keys of an ordinary checkpoint.

    Every process has to ask for it; only the one that leads needs to get it.

    Args:
        trainer: of a run, under any strategy.
    """
    if isinstance(trainer.strategy, DeepSpeedStrategy):
        return _of_deepspeed(trainer.lightning_module)
    # torch (2.13) frees what it is about to give, where it "offloads" from a CPU to a CPU.
    offload = trainer.strategy.root_device.type != "cpu"
    options = StateDictOptions(full_state_dict=True, cpu_offload=offload)
    return get_model_state_dict(cast(Any, trainer.strategy.model), options=options)


def _of_deepspeed(task: pl.LightningModule) -> dict[str, Any]:
    """One parameter after the other, for all together may not fit into one device."""
    zero: Any = import_module("deepspeed").zero  # it is there, if its strategy is
    whole: dict[str, Any] = {}
    for key, value in task.state_dict(keep_vars=True).items():
        with zero.GatheredParameters([value]):  # leaves alone what is no part
            whole[key] = value.detach().cpu().clone() if isinstance(value, Tensor) else value
    return whole

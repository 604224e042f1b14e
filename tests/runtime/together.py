"""A run of two processes: `python -m tests.runtime.together STRATEGY STATE FOLDER SAMPLES [LAST_STEP]`.

What it measures, and the weights, are left in FOLDER for a test to compare; after LAST_STEP it dies.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.strategies import FSDPStrategy, fsdp
from torch import Tensor, nn
from torch.distributed.fsdp import FullStateDictConfig, FullyShardedDataParallel, StateDictType
from torch.distributed.fsdp.api import FullOptimStateDictConfig
from torch.utils.data import TensorDataset

from mase.ir.processes import is_leader
from mase.runtime.data.base import DataModule, Splits
from mase.runtime.trainer import TrainConfig, evaluate, fit
from tests.runtime.standing_in import standing_in

CLASSES = 3


class Few(DataModule):
    """A split of so few samples that not every process gets a batch of them, or not as many as others."""

    num_classes, input_type, task = CLASSES, "f32[N,6]", "tabular-classification"

    def __init__(self, measured: int) -> None:
        super().__init__(batch_size=4)
        self.measured = measured

    def load(self) -> Splits:
        return Splits(train=_samples(40, 0), val=_samples(self.measured, 1), test=_samples(self.measured, 2))


def _samples(count: int, seed: int) -> TensorDataset:
    generator = torch.Generator().manual_seed(seed)
    return TensorDataset(torch.randn(count, 6, generator=generator), torch.arange(count) % CLASSES)


class Net(nn.Module):
    """Has running statistics, which every process moves by its own samples."""

    def __init__(self, last_step: int = 1_000_000) -> None:
        super().__init__()
        self.steps_left = last_step
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.first, self.norm, self.last = (
                nn.Linear(6, 8, bias=False),
                nn.BatchNorm1d(8),
                nn.Linear(8, CLASSES),
            )

    def forward(self, x: Tensor) -> Tensor:
        self.steps_left -= self.training
        if self.steps_left == -1 and self.training:
            os._exit(7)
        return self.last(self.norm(self.first(x)).relu())


class OnCpu(FSDPStrategy):
    """Lightning wants GPUs for ``fsdp``, for their numbers; torch itself takes a CPU, too."""

    def _setup_model(self, model: nn.Module) -> nn.Module:
        return FullyShardedDataParallel(model, device_id=torch.device("cpu"), **self.kwargs)


def whole_on_cpu(module: nn.Module, world_size: int, rank0_only: bool = True) -> Any:
    """As Lightning asks for whole states, but that nothing moves to the CPU, where it is (torch crashes)."""
    how = {"offload_to_cpu": False, "rank0_only": rank0_only}
    state, optimizer = FullStateDictConfig(**how), FullOptimStateDictConfig(**how)
    return FullyShardedDataParallel.state_dict_type(module, StateDictType.FULL_STATE_DICT, state, optimizer)


def settings(strategy: str, state: str) -> dict[str, Any]:
    """What such a run trains with."""
    options = {"state_dict_type": state} if strategy == "fsdp" else None
    machine = {"strategy": strategy, "strategy_options": options, "accelerator": "cpu", "devices": 2}
    how = {"max_epochs": 3, "learning_rate": 1e-2, "optimizer": "adamw", "gradient_clip": 0.5}
    return {**machine, **how, "report_to": "none"}


def main(strategy: str, state: str, folder: str, samples: str, last_step: str = "1000000") -> None:
    net, data, config = Net(int(last_step)), Few(int(samples)), TrainConfig(**settings(strategy, state))
    fsdp._get_full_state_dict_context = whole_on_cpu
    with standing_in("fsdp", OnCpu):
        metrics = fit(net, data, config, folder, data.task)
        metrics |= evaluate(net, data, "test", data.task, config)
    if is_leader():
        (Path(folder) / "metrics.json").write_text(json.dumps(metrics))
        torch.save(net.state_dict(), Path(folder) / "weights.pt")


if __name__ == "__main__":
    main(*sys.argv[1:])

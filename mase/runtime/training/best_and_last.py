"""Checkpoints of a run, and its end when it gets no better."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint

from mase.runtime.distributed import agreed
from mase.runtime.training.checkpoint import WEIGHTS
from mase.runtime.training.places import link, remove, replace
from mase.runtime.training.run_folder import RunFolder
from mase.runtime.training.whole import whole_state

__all__ = ["KeepBestAndLast"]


class KeepBestAndLast(Checkpoint):
    """Once an epoch: ``last.ckpt``, ``best.ckpt`` if it was the best, and the end if none gets better.

    Of epochs with an equal metric, one with a lower validation loss is better. A metric that is not a
    number is never the best. A strategy may make a folder of each checkpoint, with a part from each process;
    the weights as a whole lie beside the parts.

    Args:
        folder: where to write.
        monitor: the metric that decides.
        higher_is_better: whether more of it is better.
        patience: epochs to wait for a better one before stopping; None to wait for ever.
    """

    def __init__(
        self, folder: RunFolder, *, monitor: str, higher_is_better: bool, patience: int | None
    ) -> None:
        self.folder = folder
        self.monitor = monitor
        self.sign = 1.0 if higher_is_better else -1.0
        self.patience = patience
        self.best: list[float] = [-math.inf, -math.inf]
        self.waited = 0

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.waited = state_dict["best"], state_dict["waited"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop_if_hopeless(trainer)  # the run may have been cut off after its last epoch

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if cast(Any, trainer).fast_dev_run:
            return
        score = [self.sign * self._metric(trainer, self.monitor), -self._metric(trainer, "val/loss")]
        better = not math.isnan(score[0]) and score > self.best
        self.best, self.waited = (score, 0) if better else (self.best, self.waited + 1)
        self._save(trainer, better)
        self._stop_if_hopeless(trainer)

    def _save(self, trainer: pl.Trainer, better: bool) -> None:
        partial = self.folder.partial
        if trainer.is_global_zero:
            remove(partial)
        trainer.strategy.barrier()  # every process may write there
        trainer.save_checkpoint(partial)
        if agreed(partial.is_dir()):
            _add_weights(trainer, partial)
        if trainer.is_global_zero:
            # The best first: a kill between the two makes the resumed run repeat the epoch, and no harm done.
            if better:
                link(partial, self.folder.best)
            replace(partial, self.folder.last)
        trainer.strategy.barrier()

    def _stop_if_hopeless(self, trainer: pl.Trainer) -> None:
        if self.patience is not None and self.waited >= self.patience:
            trainer.should_stop = True

    @staticmethod
    def _metric(trainer: pl.Trainer, name: str) -> float:
        return float(trainer.callback_metrics[name])


def _add_weights(trainer: pl.Trainer, folder: Path) -> None:
    content: dict[str, Any] = {"state_dict": whole_state(trainer)}
    if trainer.is_global_zero:
        trainer.lightning_module.on_save_checkpoint(content)
        torch.save(content, folder / WEIGHTS)

"""What happens around epochs: checkpoints, early stopping, seeding."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, Checkpoint

from mase.runtime.training.run_folder import RunFolder
from mase.runtime.training.session import seed_everything

__all__ = ["KeepBestAndLast", "SeedEachEpoch", "StopAtStep"]


class SeedEachEpoch(Callback):
    """Seeds every epoch by its number, so that a resumed run draws what an uninterrupted one would have.

    Processes that train together draw each its own noise.

    Args:
        seed: the user's.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        seed_everything(self.seed + 7919 * trainer.global_rank, trainer.current_epoch)


class StopAtStep(Callback):
    """Ends a run after so many optimizer steps, be it inside an epoch, and validates what it has learnt.

    Lightning's own ``max_steps`` would leave the last steps without validation, and a run that it limits
    cannot be resumed exactly (2.6: an empty epoch comes first).

    Args:
        max_steps: how many; -1 for no limit.
    """

    def __init__(self, max_steps: int) -> None:
        self.max_steps = max_steps

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop_if_done(trainer)  # the run may have been cut off after its last step

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._stop_if_done(trainer)

    def _stop_if_done(self, trainer: pl.Trainer) -> None:
        if 0 <= self.max_steps <= trainer.global_step:
            trainer.should_stop = True


class KeepBestAndLast(Checkpoint):
    """Once an epoch: ``last.ckpt``, ``best.ckpt`` if it was the best, and the end if none gets better.

    Of epochs with an equal metric, one with a lower validation loss is better. A metric that is not a
    number is never the best.

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
        partial = self.folder.path / "partial.ckpt"
        trainer.save_checkpoint(partial)
        if trainer.is_global_zero:
            # The best first: a kill between the two makes the resumed run repeat the epoch, and no harm done.
            if better:
                _link(partial, self.folder.best)
            partial.replace(self.folder.last)
        trainer.strategy.barrier()

    def _stop_if_hopeless(self, trainer: pl.Trainer) -> None:
        if self.patience is not None and self.waited >= self.patience:
            trainer.should_stop = True

    @staticmethod
    def _metric(trainer: pl.Trainer, name: str) -> float:
        return float(trainer.callback_metrics[name])


def _link(source: Path, target: Path) -> None:
    """Makes ``target`` the same file as ``source``, atomically; a copy where links are not possible."""
    partial = target.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    try:
        partial.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, partial)
    partial.replace(target)

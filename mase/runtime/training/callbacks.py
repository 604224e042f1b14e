"""What happens around epochs and steps: seeding, and an end by steps."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from mase.runtime.training.session import seed_everything

__all__ = ["SeedEachEpoch", "StopAtStep"]


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

"""Training and evaluation of plain modules on PyTorch Lightning.

    output_dir/
      training_ckpts/  best.ckpt last.ckpt run.json; those of earlier runs as best-1.ckpt ... run-1.json
      tensorboard/     version_N, one for each start
      csv/             version_N/metrics.csv, one for each start

Importing this module loads neither torch nor Lightning; calling it does.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mase.ir.diagnostics import MaseError
from mase.runtime.training.config import TrainConfig
from mase.runtime.training.strategies import splits_parameters

if TYPE_CHECKING:
    import pytorch_lightning as pl
    from torch import nn

    from mase.runtime.tasks.base import Split, Task
    from mase.runtime.training.checkpoint import Kind

__all__ = ["Metrics", "TrainConfig", "check_fit", "evaluate", "fit", "load_checkpoint"]

_Module = TypeVar("_Module", bound="nn.Module")
_log = logging.getLogger(__name__)

Metrics = dict[str, float]
"""Values by split and name, such as ``"val/accuracy"`` (0 to 1) and ``"val/loss"``."""


def fit(
    module: nn.Module,
    data: pl.LightningDataModule,
    config: TrainConfig,
    output_dir: Path | str,
    task: str = "classification",
    *,
    teacher: nn.Module | None = None,
    identity: str = "",
    cut_off: bool = False,
    say: Callable[[str], None] = _log.info,
) -> Metrics:
    """Trains a module in place, up to its best epoch.

    A run that was cut off continues from its last complete epoch when the same call is made again, and on a
    CPU ends with the same weights, bit for bit, as if it had not been cut off. A call that differs in
    anything that matters starts afresh, and so does a call after the end of a run; the checkpoints that it
    finds are kept under a number.

    Args:
        module: all of it is set to training mode, trained, and given back with the weights of the best epoch,
            in the modes, number types and device that it came with.
        data: with a training and a validation split.
        config: how to train.
        output_dir: where checkpoints and logs go; nothing is written with ``fast_dev_run``.
        task: a registered task.
        teacher: what to distill from, as ``config`` says; it needs the inputs and outputs of the module.
        identity: what else makes this run what it is, where the printed module and its initial weights do
            not tell: the text of the graph that it was lowered from.
        cut_off: whether to continue a run even if it is over, because its result was never kept.
        say: told what a user may like to know, such as which parameters decay.

    Returns:
        The metrics of the best weights, over the whole training split (unless ``measure_train`` is off) and
        the validation split.

    Raises:
        MaseError: before anything is written, if module, data, task and configuration do not go together;
            after training, if it diverged from the first epoch on.

    Example:
        >>> import tempfile, torch
        >>> from mase.runtime.data import make_data
        >>> generator = torch.manual_seed(0)
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2))
        >>> config = TrainConfig(max_epochs=10, learning_rate=0.1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     metrics = fit(net, make_data("toy-tiny"), config, folder)
        >>> sorted(metrics)
        ['train/accuracy', 'train/loss', 'val/accuracy', 'val/loss']
        >>> metrics["val/accuracy"] > 0.9
        True
    """
    from mase.runtime.distributed import agreed
    from mase.runtime.training import fingerprint, lightning, preflight, run_folder, session

    if config.distill is not None and teacher is None:
        raise MaseError.of(f"there is no teacher for distill = {config.distill!r}", help="give fit a teacher")
    with session.quiet(), session.seeded(config.seed or 0), session.preserved(module):
        trained = _lent(module, config)
        learner = _learner(task, trained, config, data, teacher)
        batch = _first_batch(data)
        work = preflight.check(learner, batch)
        _describe(learner, say)
        folder = run_folder.RunFolder(Path(output_dir) / "training_ckpts")
        trainer = lightning.fitter(learner, config, Path(output_dir), folder)
        checkpoint = None
        if not config.fast_dev_run:
            print_ = fingerprint.fingerprint(learner, batch, identity=identity)
            checkpoint = agreed(
                folder.begin(print_, learner.settings, resume=config.resume, cut_off=cut_off, say=say)
            )
        with session.threads(config.threads, work=work):
            trained.train()
            trainer.fit(learner, datamodule=data, ckpt_path=checkpoint, weights_only=True)
            if not config.fast_dev_run:
                _load_best(module, agreed(folder.best), learner.optimization.learning_rate)
            if trained is not module:
                learner = _learner(task, module, config, data)
            metrics = _measure(learner, config, "train") if config.measure_train else {}
            metrics |= _measure(learner, config, "val")
        if not config.fast_dev_run:
            folder.finish(metrics)
    return metrics


def check_fit(
    module: nn.Module, data: pl.LightningDataModule, config: TrainConfig, task: str = "classification"
) -> None:
    """Finds at once what `fit` would refuse of a task, an optimizer, a scheduler or a metric.

    Args:
        module: given back as it came.
        data: the data module.
        config: how to train.
        task: a registered task.

    Raises:
        MaseError: naming what is refused and the remedy.
    """
    from mase.runtime.tasks import make_task
    from mase.runtime.training import lightning, session

    with session.quiet(), session.seeded(config.seed or 0), session.preserved(module):
        lightning.check_settings(make_task(task, module, config, data), config)


def evaluate(
    module: nn.Module,
    data: pl.LightningDataModule,
    split: Split = "test",
    task: str = "classification",
    config: TrainConfig | None = None,
) -> Metrics:
    """Measures a module on one split, in evaluation mode.

    Args:
        module: given back in the modes, number types and device that it came with.
        data: with that split.
        split: ``"test"``, ``"val"`` or ``"train"``.
        task: a registered task.
        config: where and in which precision to run; what concerns training is not used.

    Returns:
        The metrics over the whole split, such as ``{"test/loss": 0.1, "test/accuracy": 0.98}``.

    Raises:
        MaseError: if module, data and task do not go together, or there is no such split.

    Example:
        >>> import torch
        >>> from mase.runtime.data import make_data
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2))
        >>> sorted(evaluate(net, make_data("toy-tiny"), "val"))
        ['val/accuracy', 'val/loss']
    """
    from mase.runtime.tasks import make_task
    from mase.runtime.training import preflight, session

    config = config or TrainConfig()
    with session.quiet(), session.seeded(config.seed or 0), session.preserved(module):
        learner = make_task(task, module, config, data)
        batch = next(iter(preflight.split_loader(data, split, set_up=True)))
        work = preflight.check(learner, batch)
        with session.threads(config.threads, work=work):
            return _measure(learner, config, split)


def load_checkpoint(module: nn.Module, path: Path | str, kind: Kind = "pl") -> None:
    """Loads the weights of a checkpoint into the plain module that was trained.

    In a Lightning checkpoint, every key of the module has the prefix ``model.``.

    Args:
        module: changed in place, and only if every key fits.
        path: ``training_ckpts/best.ckpt``, for example.
        kind: ``"pl"`` for a Lightning checkpoint, ``"pt"`` for a state dict (torch or safetensors).

    Raises:
        MaseError: if the file cannot be read, or listing every key that is missing, unexpected or of
            another shape.
    """
    from mase.runtime.training import checkpoint

    checkpoint.load_checkpoint(module, path, kind)


def _learner(
    task: str,
    module: nn.Module,
    config: TrainConfig,
    data: pl.LightningDataModule,
    teacher: nn.Module | None = None,
) -> Task:
    from mase.runtime.tasks import make_task
    from mase.runtime.training.distillation import Distillation

    learner = make_task(task, module, config, data)
    if teacher is not None:
        learner.distillation = Distillation(learner, make_task(task, teacher, config, data))
    return learner


def _first_batch(data: pl.LightningDataModule) -> Any:
    """The first batch to train on, the same in every process; refuses data without a validation split."""
    from mase.runtime.data.shuffle import unshared
    from mase.runtime.training import preflight

    preflight.split_loader(data, "val", set_up=True)
    with unshared():
        return next(iter(preflight.split_loader(data, "train")))


def _describe(learner: Task, say: Callable[[str], None]) -> None:
    groups = learner.parameter_groups()
    if any(group.weight_decay or group.rate != 1.0 for group in groups):
        say("; ".join(map(str, groups)))


def _lent(module: _Module, config: TrainConfig, *shared: object) -> _Module:
    """What Lightning may work on: a copy where it may leave each process a part of every parameter."""
    if not splits_parameters(config.strategy):
        return module
    return copy.deepcopy(module, {id(part): part for part in shared})


def _measure(learner: Task, config: TrainConfig, split: Split) -> Metrics:
    from mase.runtime.training import lightning, preflight

    learner = _lent(learner, config, learner.data)
    learner.evaluated = split
    part = preflight.SplitData(learner.data, split)
    [values] = lightning.evaluator(config).test(learner, datamodule=part, verbose=False)
    return {name: float(value) for name, value in values.items()}


def _load_best(module: nn.Module, best: Path, learning_rate: float) -> None:
    if not best.exists():
        raise MaseError.of(
            "training diverged: the validation metric was not a number in any epoch",
            help=f"lower learning_rate (it is {learning_rate:g}) or set gradient_clip",
        )
    load_checkpoint(module, best)

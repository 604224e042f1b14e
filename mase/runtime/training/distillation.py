"""Learning from a teacher: what its logits say of every class, and what its layers give on the way."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mase.ir.diagnostics import MaseError, did_you_mean
from mase.runtime.training.batches import tensors_of

if TYPE_CHECKING:
    from mase.runtime.tasks.base import Step, Task

__all__ = ["Distillation", "soft_loss"]


def soft_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """How far the student's opinion is from the teacher's (Hinton et al. 2015, arXiv:1503.02531).

    Args:
        student: logits (rows, classes, ...).
        teacher: logits of the same shape.
        temperature: both are divided by it before the softmax; its square keeps the gradients' size.

    Returns:
        ``temperature**2 * KL(teacher || student)``, the mean over rows.

    Raises:
        MaseError: if the shapes differ.

    Example:
        >>> soft_loss(torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 2.0]]), 2.0)
        tensor(0.4438)
    """
    if student.shape != teacher.shape:
        raise MaseError.of(
            f"the student's logits have shape {tuple(student.shape)}, the teacher's {tuple(teacher.shape)}",
            help="distill from a model with the same outputs",
        )
    ours, theirs = (F.log_softmax(logits / temperature, dim=1) for logits in (student, teacher))
    rows = max(1, ours.numel() // ours.shape[1])
    return F.kl_div(ours, theirs, reduction="sum", log_target=True) * temperature**2 / rows


class Distillation:
    """A teacher beside a task. It is no part of the task's module: it has no gradient and is not saved.

    Args:
        student: the task that learns.
        teacher: the same task over another model.

    Raises:
        MaseError: if a pattern of ``distill_features`` is of no module that both have.
    """

    def __init__(self, student: Task, teacher: Task) -> None:
        config = student.config
        self.student, self.teacher = student, teacher
        self._weight, self._feature_weight = config.distill_weight, config.feature_weight
        teacher.requires_grad_(False).eval()
        names = _shared(student.model, teacher.model, config.distill_features or [])
        self._ours, self._theirs = (_Outputs(task.model, names) for task in (student, teacher))

    def prepare(self, trainer: pl.Trainer) -> None:
        """Brings the teacher to where and in the precision that the student trains in."""
        trainer.precision_plugin.convert_module(self.teacher)
        self.teacher.to(trainer.strategy.root_device)

    def loss(self, step: Step, batch: Any) -> Tensor:
        """What the student minimizes: the task's loss, and how far it is from the teacher.

        Args:
            step: what the student just made of the batch.
            batch: what the teacher is asked about.
        """
        with torch.no_grad():
            taught = self.teacher.step(batch)
        soft = self.student.distillation_loss(step, taught)
        return (1 - self._weight) * step.loss + self._weight * soft + self._feature_loss()

    def _feature_loss(self) -> Tensor | float:
        """The mean squared distance of layers, relative to the teacher's mean square."""
        pairs = list(zip(self._ours.take(), self._theirs.take(), strict=True))
        if not pairs:
            return 0.0
        losses = [
            F.mse_loss(a.float(), b.float()) / b.float().square().mean().clamp_min(1e-12) for a, b in pairs
        ]
        return self._feature_weight * torch.stack(losses).mean()


class _Outputs:
    """The last outputs of some modules, in the order of their names."""

    def __init__(self, model: nn.Module, names: Sequence[str]) -> None:
        self._names, self._found = names, dict[str, Tensor]()
        for name in names:
            model.get_submodule(name).register_forward_hook(self._keeper(name))

    def _keeper(self, name: str) -> Any:
        def keep(module: nn.Module, inputs: Any, output: Any) -> None:
            self._found[name] = tensors_of(output)[0]

        return keep

    def take(self) -> list[Tensor]:
        found = [self._found[name] for name in self._names if name in self._found]
        self._found.clear()
        return found


def _shared(student: nn.Module, teacher: nn.Module, patterns: Sequence[str]) -> list[str]:
    """The paths of modules that both have and a pattern selects."""
    theirs = _paths(teacher)
    names = [name for name in _paths(student) if name and name in theirs]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise MaseError.of(
                f"distill_features: student and teacher share no module {pattern!r}",
                help=did_you_mean(pattern, names),
            )
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]


def _paths(model: Any) -> list[str]:
    return [name for name, _ in model.named_modules()]

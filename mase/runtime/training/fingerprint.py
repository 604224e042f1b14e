"""What makes a run the run that it is, so that no other is taken for its continuation."""

from __future__ import annotations

import json
import re
from typing import Any

from torch import Tensor, nn

from mase.runtime.digest import digest
from mase.runtime.tasks.base import Task
from mase.runtime.training.batches import tensors_of
from mase.runtime.training.preflight import name_of

__all__ = ["Fingerprint", "fingerprint"]

Fingerprint = dict[str, str]
"""A hash for each aspect: ``config``, ``model``, ``weights``, ``data`` and ``teacher``."""

_WITHOUT_EFFECT = {"progress", "resume", "report_to", "log_every_n_steps", "auto_requeue", "measure_train"}


def fingerprint(task: Task, batch: Any, *, identity: str = "") -> Fingerprint:
    """The fingerprint of a run that is about to start.

    Args:
        task: with the initial weights; settings without an effect on the weights do not count.
        batch: the first one.
        identity: what else makes the run what it is and does not show in the module's printed form.
    """
    data, tensors = task.data, _tensors(task.model)
    taught = task.distillation.teacher.model if task.distillation else None
    settings = {key: value for key, value in task.settings.items() if key not in _WITHOUT_EFFECT}
    options = {key: getattr(data, key, None) for key in ("batch_size", "seed")}
    return {
        "config": digest([json.dumps(settings, sort_keys=True)]),
        "model": digest([identity, _text(task.model)]),
        "weights": digest(tensors.values()),
        "teacher": digest([_text(taught), *_tensors(taught).values()]) if taught else "",
        "data": digest([name_of(data), json.dumps(options, default=str), *tensors_of(batch)]),
    }


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    state: dict[str, Any] = module.state_dict()
    return {key: value for key, value in state.items() if isinstance(value, Tensor)}


def _text(module: nn.Module) -> str:
    shapes = {key: f"{value.dtype}{list(value.shape)}" for key, value in _tensors(module).items()}
    printed = re.sub(r"0x[0-9a-f]+", "0x", str(module))  # addresses differ from process to process
    return printed + json.dumps(shapes)

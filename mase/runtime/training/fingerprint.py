"""What makes a run the run that it is, so that no other is taken for its continuation."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from mase.runtime.tasks.base import Task
from mase.runtime.training.batches import tensors_of
from mase.runtime.training.preflight import name_of

__all__ = ["Fingerprint", "fingerprint"]

Fingerprint = dict[str, str]
"""A hash for each aspect: ``config``, ``model``, ``weights`` and ``data``."""

_WITHOUT_EFFECT = {"progress", "resume", "report_to", "log_every_n_steps", "auto_requeue"}


def fingerprint(task: Task, batch: Any, *, identity: str = "") -> Fingerprint:
    """The fingerprint of a run that is about to start.

    Args:
        task: with the initial weights; settings without an effect on the weights do not count.
        batch: the first one.
        identity: what else makes the run what it is and does not show in the module's printed form.
    """
    module, data = task.model, task.data
    state: dict[str, Any] = module.state_dict()
    tensors = {key: value for key, value in state.items() if isinstance(value, Tensor)}
    shapes = {key: f"{value.dtype}{list(value.shape)}" for key, value in tensors.items()}
    printed = re.sub(r"0x[0-9a-f]+", "0x", str(module))  # addresses differ from process to process
    settings = {key: value for key, value in task.settings.items() if key not in _WITHOUT_EFFECT}
    options = {key: getattr(data, key, None) for key in ("batch_size", "seed")}
    return {
        "config": _hash([json.dumps(settings, sort_keys=True)]),
        "model": _hash([identity, printed, json.dumps(shapes)]),
        "weights": _hash(tensors.values()),
        "data": _hash([name_of(data), json.dumps(options, default=str), *tensors_of(batch)]),
    }


def _hash(parts: Iterable[str | Tensor]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            digest.update(part.encode())
        else:
            digest.update(part.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]

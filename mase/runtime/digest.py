"""A short hash of texts and tensors, for what must be told apart from run to run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import torch
from torch import Tensor

__all__ = ["digest"]


def digest(parts: Iterable[str | Tensor]) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of all parts, each by its bytes.

    Example:
        >>> digest(["weights", torch.zeros(2)]) == digest(["weights", torch.zeros(2)])
        True
        >>> digest([torch.zeros(2)]) == digest([torch.tensor([0.0, -0.0])])
        False
    """
    made = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            made.update(part.encode())
        else:
            made.update(part.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return made.hexdigest()[:16]

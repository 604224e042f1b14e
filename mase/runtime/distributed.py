"""What processes that train together have to agree on."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, distributed

__all__ = ["agreed", "joined", "widest"]


def joined() -> bool:
    """Whether this process trains together with others."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def agreed(value: Any) -> Any:
    """The leader's value, in every process."""
    if not joined():
        return value
    box = [value]
    cast(Any, distributed).broadcast_object_list(box)
    return box[0]


@torch.no_grad()
def widest(range: Tensor) -> Tensor:
    """The least and the largest value that any process saw.

    Args:
        range: float[2] of this process, its least and its largest value.

    Example:
        >>> widest(torch.tensor([-1.0, 2.0]))
        tensor([-1.,  2.])
    """
    if not joined():
        return range
    ends = torch.stack([-range[0], range[1]])
    cast(Any, distributed).all_reduce(ends, op=distributed.ReduceOp.MAX)
    return torch.stack([-ends[0], ends[1]])

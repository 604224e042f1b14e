"""What processes that train together have to agree on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, distributed, nn

__all__ = ["agreed", "align_buffers", "among", "gathered", "joined", "widest"]

T = TypeVar("T")


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


def gathered(value: T) -> list[T]:
    """The values of all processes, in the order of their ranks.

    Example:
        >>> gathered("alone")
        ['alone']
    """
    if not joined():
        return [value]
    values: list[Any] = [None] * distributed.get_world_size()
    cast(Any, distributed).all_gather_object(values, value)
    return values


def among(ranks: Sequence[int], compute: Callable[[Any], T]) -> T:
    """What some processes compute together, in every process.

    Args:
        ranks: who computes.
        compute: given their process group.
    """
    group: Any = cast(Any, distributed).new_group(list(ranks))
    box: list[Any] = [None]
    if distributed.get_rank() in ranks:
        box[0] = compute(group)
        distributed.destroy_process_group(group)
    cast(Any, distributed).broadcast_object_list(box, src=ranks[0])
    return box[0]


@torch.no_grad()
def align_buffers(module: nn.Module) -> None:
    """Gives every process the leader's buffers, such as running statistics."""
    if not joined():
        return
    for buffer in module.buffers():
        whole = buffer.contiguous()
        cast(Any, distributed).broadcast(whole, 0)
        if whole is not buffer:
            buffer.copy_(whole)


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

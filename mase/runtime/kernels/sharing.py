"""Which values share a scale: all of them, each index of an axis, each vector, or each block of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mase.ir import Format, MaseError

__all__ = ["Sharing", "check_shape"]


@dataclass(frozen=True)
class Sharing:
    """How scales spread over a tensor; at most one of the arguments is given.

    Args:
        channel: the axis each index of which has a scale.
        block: how many values of the last dimension share one; its last block may be shorter.
        token: whether each vector along the last dimension has one.

    Example:
        >>> sharing = Sharing(block=2)
        >>> x = sharing.arrange(torch.tensor([1.0, 3.0, 5.0]))
        >>> x.tolist(), sharing.reduce(torch.amax, x).tolist()
        ([[1.0, 3.0], [5.0, 0.0]], [3.0, 5.0])
        >>> sharing.restore(x, torch.Size([3])).tolist()
        [1.0, 3.0, 5.0]
    """

    channel: int | None = None
    block: int | None = None
    token: bool = False

    def arrange(self, x: Tensor) -> Tensor:
        """``x`` with a block a row, the last one filled up with zeros; ``x`` itself without blocks."""
        if self.block is None:
            return x if x.dim() or not self.token else x.reshape(1)
        x = x if x.dim() else x.reshape(1)
        missing = -x.shape[-1] % self.block
        x = F.pad(x, (0, missing)) if missing else x
        return x.reshape(*x.shape[:-1], x.shape[-1] // self.block, self.block)

    def restore(self, arranged: Tensor, shape: torch.Size) -> Tensor:
        """What `arrange` was given, of shape ``shape``."""
        if self.block is not None:
            arranged = arranged.flatten(-2)
            arranged = arranged[..., : shape[-1]] if shape else arranged[..., :1]
        return arranged.reshape(shape)

    def reduce(self, function: Callable[..., Tensor], arranged: Tensor) -> Tensor:
        """``function(arranged, dim=...)`` over the values that share a scale; 0 where there are none."""
        dims = self._dims(arranged.dim())
        if not dims:
            return arranged
        if any(arranged.shape[d] == 0 for d in dims):
            kept = [n for d, n in enumerate(arranged.shape) if d not in dims]
            return arranged.new_zeros(kept)
        return function(arranged, dim=dims)

    def spread(self, scale: Tensor, arranged: Tensor) -> Tensor:
        """A scale for each value, by broadcasting."""
        if self.channel is not None:
            shape = [1] * arranged.dim()
            shape[self.channel] = -1
            return scale.view(shape)
        return scale.unsqueeze(-1) if self.block is not None or self.token else scale

    def _dims(self, rank: int) -> tuple[int, ...]:
        if self.block is not None or self.token:
            return (rank - 1,)
        if self.channel is not None and not -rank <= self.channel < rank:
            raise MaseError.of(f"a tensor of {rank} dimensions has no axis {self.channel}")
        kept = None if self.channel is None else self.channel % rank
        return tuple(d for d in range(rank) if d != kept)


def check_shape(format: Format, shape: torch.Size, *scales: Tensor | None) -> None:
    """Refuse scales that do not fit a tensor.

    Args:
        format: a format with scales.
        shape: the tensor's.
        scales: what should have the shape of its scales.

    Raises:
        MaseError: if one has another, or the tensor has no such axis.
    """
    try:
        expected = format.scale_shape(tuple(shape))
    except (ValueError, IndexError) as error:
        raise MaseError.of(f"{format} does not fit shape {list(shape)}: {error}") from None
    for scale in scales:
        if scale is not None and tuple(scale.shape) != expected:
            found = list(scale.shape)
            raise MaseError.of(
                f"{format} of a tensor of shape {list(shape)} needs scales of shape "
                f"{list(expected or ())}, found {found}"
            )

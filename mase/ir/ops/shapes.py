"""Shape rules that several ops share."""

from __future__ import annotations

from collections.abc import Sequence

from mase.ir.axes import Axes
from mase.ir.dim import Dim
from mase.ir.op import OpError
from mase.ir.types import Shape, TensorType

__all__ = ["broadcast", "channels", "same", "tensor", "window"]


def tensor(value: object, what: str, *ranks: int) -> TensorType:
    """``value`` as a tensor type of one of ``ranks`` (any, if none is given).

    Raises:
        OpError: if it is not.
    """
    if not isinstance(value, TensorType):
        raise OpError(f"{what}: expected a tensor, found {value}")
    if ranks and value.rank not in ranks:
        wanted = " or ".join(map(str, ranks))
        raise OpError(f"{what}: expected {wanted} dimensions, found {value}")
    return value


def same(a: Dim, b: Dim, what: str) -> None:
    """Refuse two dimensions that are certainly different (symbols may turn out equal)."""
    if isinstance(a, int) and isinstance(b, int) and a != b:
        raise OpError(f"{what}: expected {a}, found {b}")


def broadcast(a: Shape, b: Shape) -> Shape:
    """The shape of an elementwise result, by NumPy's rule.

    Raises:
        OpError: if the shapes do not broadcast.
    """
    rank = max(len(a), len(b))
    left: Shape = (1,) * (rank - len(a)) + tuple(a)
    right: Shape = (1,) * (rank - len(b)) + tuple(b)
    return tuple(_broadcast(x, y) for x, y in zip(left, right, strict=True))


def _broadcast(x: Dim, y: Dim) -> Dim:
    if x == y or y == 1:
        return x
    if x == 1:
        return y
    same(x, y, "broadcast")
    return x if isinstance(x, int) else y


def window(
    size: Dim, kernel: int, stride: int, padding: tuple[int, int], dilation: int = 1, ceil: bool = False
) -> Dim:
    """The number of positions of a sliding window along one dimension.

    Raises:
        OpError: if the window is larger than the padded input.
    """
    span = size + (padding[0] + padding[1] - dilation * (kernel - 1) - 1)
    if isinstance(span, int) and span < 0:
        raise OpError(
            f"a window of {dilation * (kernel - 1) + 1} does not fit into {size} padded by {padding}"
        )
    if not ceil:
        return span // stride + 1
    positions = (span + (stride - 1)) // stride + 1
    # torch drops a last window that would start in the right padding
    if isinstance(positions, int) and isinstance(size, int) and (positions - 1) * stride >= size + padding[0]:
        positions -= 1
    return positions


def spatial(rank: int, values: Sequence[int], what: str) -> None:
    """Refuse an attribute that has not one number for each spatial dimension."""
    if len(values) != rank:
        raise OpError(f"{what}: expected {rank} numbers, found {list(values)}")


def channels(role: str, spatial: int) -> Axes:
    """The channels of ``[..., C, *spatial]`` if a role is the input or result, else the last dimension."""
    return Axes((-spatial - 1,)) if role in ("data_in", "data_out") else Axes()

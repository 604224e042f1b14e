"""Scales of activations in ``int<W>``: taken from what was seen, and kept in the state."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, count
from typing import TYPE_CHECKING, Literal, cast

from mase.ir.formats import Integer
from mase.ir.graph import Graph, Node
from mase.ir.ops.quantized import QuantizedOp

if TYPE_CHECKING:
    from torch import Tensor

    from mase.runtime.kernels import Scale

__all__ = [
    "Scales",
    "drop_scales",
    "give_scale",
    "least_error_scale",
    "range_of_scale",
    "scale_of_range",
    "scaled_roles",
]

Scales = Literal["static", "dynamic", "learned", "moving"]
"""Whether activations have a scale of their own: one from calibration, none, one that the gradient moves in
training, one that follows what is seen in training."""

_SHARES = tuple(1.0 - 0.05 * i for i in range(15))  # of the range, to compare by their error


def scaled_roles(op: QuantizedOp) -> list[tuple[str, Integer]]:
    """The operands in a format with one scale for the whole tensor, which may come from calibration."""
    known = op.scale_roles()
    return [
        (role, format)
        for role, format in op.formats.items()
        if isinstance(format, Integer)
        and f"{role}_scale" in known
        and format.reach == "tensor"
        and format.channel is None
    ]


def scale_of_range(format: Integer, low: float, high: float) -> Scale:
    """The scale, and the zero point if the format is ``asym``, of numbers between ``low`` and ``high``.

    Example:
        >>> scale_of_range(Integer(8), -1.0, 2.54).value
        tensor(0.0200)
    """
    import torch

    from mase.runtime.kernels import scale_of

    found = scale_of(torch.tensor([low, high]), format)
    assert found is not None
    return found


def least_error_scale(
    format: Integer, low: float, high: float, squared_error: Callable[[Callable[[Tensor], Tensor]], float]
) -> Scale:
    """The scale of that share of a range that has the least mean squared error.

    Args:
        format: the format.
        low: the smallest number seen.
        high: the largest number seen.
        squared_error: the error that a quantizer makes on the numbers seen.
    """
    from mase.runtime.kernels import quantize

    def error(scale: Scale) -> float:
        return squared_error(lambda x: quantize(x, format, scale))

    return min((scale_of_range(format, low * share, high * share) for share in _SHARES), key=error)


def range_of_scale(format: Integer, scale: Scale) -> Tensor:
    """The range that a scale is that of, float32[2].

    Example:
        >>> range_of_scale(Integer(8), scale_of_range(Integer(8), -1.0, 2.54))
        tensor([-2.5400,  2.5400])
    """
    import torch

    assert scale.value is not None
    ends = torch.tensor([-format.code_max, format.code_max])
    if scale.zero_point is not None:
        ends = torch.tensor([format.code_min, format.code_max]) - scale.zero_point
    return ends * scale.value.float()


def give_scale(node: Node, role: str, scale: Scale, scales: Scales) -> None:
    """Keep the scale of a node's operand in the state, beside the weights of its module.

    Args:
        node: the quantized node.
        role: the operand.
        scale: its scale and zero point.
        scales: whether, and how, training moves it.
    """
    learn = scales == "learned"
    parts = {"scale": scale.value, "zero_point": scale.zero_point}
    if scales == "moving":
        format = cast(QuantizedOp, node.op).formats[role]
        assert isinstance(format, Integer)
        parts["range"] = range_of_scale(format, scale)
    home = _home(node)
    for what, tensor in parts.items():
        if tensor is None:
            continue
        key = _unused(node.graph, f"{home}.{role}_{what}")
        node.graph.state[key] = tensor
        kind = "parameter" if learn and what == "scale" else "buffer"
        node.graph.state.declare(key, node.graph.state.entry(key).type, kind)
        node.params = {**node.params, f"{role}_{what}": key}


def drop_scales(node: Node) -> None:
    """Forget the scales that a node has, and those that no other node uses."""
    if not isinstance(node.op, QuantizedOp):
        return
    gone = {role: key for role, key in node.params.items() if role in node.op.scale_roles()}
    node.params = {role: key for role, key in node.params.items() if role not in gone}
    used = {key for other in node.graph.nodes for key in other.params.values()}
    for key in set(gone.values()) - used:
        del node.graph.state[key]


def _home(node: Node) -> str:
    """The path of the module that has the node's weights; a name of its own for a node without any."""
    homes = {key.removesuffix(f".{role}") for role, key in node.params.items()}
    if len(homes) == 1 and all(key.endswith(f".{role}") for role, key in node.params.items()):
        return homes.pop()
    return f"{node.scope}.{node.name}" if node.scope else node.name


def _unused(graph: Graph, key: str) -> str:
    names = chain([key], (f"{key}_{i}" for i in count(1)))
    return next(name for name in names if name not in graph.state)

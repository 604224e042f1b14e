"""Scales of operands and weights in ``int<W>``: taken from their numbers once, and kept in the state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
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
    "WeightScales",
    "drop_scales",
    "give_scale",
    "give_weight_scale",
    "least_error_scale",
    "least_error_scales",
    "range_of_scale",
    "scale_of_range",
    "scaled_roles",
    "scaled_weights",
]

Scales = Literal["static", "dynamic", "learned", "moving"]
"""Whether activations have a scale of their own: one from calibration, none, one that the gradient moves in
training, one that follows what is seen in training."""

WeightScales = Literal["dynamic", "static", "learned"]
"""Whether weights have scales of their own: none, those of the weights as they are, or such that the gradient
moves in training."""

_SHARES = tuple(1.0 - 0.05 * i for i in range(15))  # of the range, to compare by their error


def scaled_roles(op: QuantizedOp) -> list[tuple[str, Integer]]:
    """The operands in a format with one scale for the whole tensor, which may come from calibration."""
    return [(r, f) for r, f in _scaled(op) if f"{r}_range" in op.scale_roles() and f.channel is None]


def scaled_weights(op: QuantizedOp) -> list[tuple[str, Integer]]:
    """The weights in a format whose scales may be kept: one for the tensor, each channel or each group."""
    return [(role, format) for role, format in _scaled(op) if f"{role}_range" not in op.scale_roles()]


def _scaled(op: QuantizedOp) -> Iterator[tuple[str, Integer]]:
    for role, format in op.formats.items():
        if isinstance(format, Integer) and op.takes_scales(role):
            yield role, format


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


def least_error_scales(format: Integer, weight: Tensor) -> Scale:
    """The scales of a weight, each with the least mean squared error of the numbers that share it.

    Args:
        format: the format.
        weight: of any shape; the candidates are shares of its range, or of that of each channel or group.

    Example:
        >>> import torch
        >>> weight = torch.tensor([[1.0, 0.5, 0.5], [0.1, 0.0, 0.0]])
        >>> least_error_scales(Integer(2, channel=0), weight).value  # 1 becomes 0.65, and each 0.5 as well
        tensor([0.6500, 0.1000])
    """
    import torch

    from mase.runtime.kernels import Scale, quantize, scale_of
    from mase.runtime.kernels.integer import sharing_of

    whole, sharing = scale_of(weight, format), sharing_of(format)
    assert whole is not None
    assert whole.value is not None
    best, least = whole.value, torch.full_like(whole.value, torch.inf, dtype=torch.float64)
    for share in _SHARES:
        scale = whole.value * share
        off = quantize(weight, format, Scale(scale, whole.zero_point)).double() - weight
        error = sharing.reduce(torch.sum, sharing.arrange(off.square()))
        best, least = torch.where(error < least, scale, best), torch.minimum(error, least)
    return Scale(best, whole.zero_point)


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
        kind = "parameter" if scales == "learned" and what == "scale" else "buffer"
        node.graph.state.declare(key, node.graph.state.entry(key).type, kind)
        node.params = {**node.params, f"{role}_{what}": key}


def give_weight_scale(
    node: Node, role: str, scale: Scale, scales: Scales, known: MutableMapping[object, dict[str, str]]
) -> None:
    """The same for a weight, which has one scale however many nodes use it in a format.

    Args:
        node: the quantized node.
        role: the weight.
        scale: its scales and zero points.
        scales: whether training moves them.
        known: the keys that weights got, which this one finds its own in or adds them to.
    """
    weight = node.graph.state.resolve(node.params[role]), cast(QuantizedOp, node.op).formats[role]
    if weight in known:
        node.params = {**node.params, **{f"{role}_{what}": key for what, key in known[weight].items()}}
        return
    give_scale(node, role, scale, scales)
    given = {what: node.params.get(f"{role}_{what}") for what in ("scale", "zero_point")}
    known[weight] = {what: key for what, key in given.items() if key is not None}


def drop_scales(node: Node) -> None:
    """Forget the scales that a node has, and those that no other node uses."""
    if not isinstance(node.op, QuantizedOp):
        return
    gone = {role: key for role, key in node.params.items() if role in node.op.scale_roles()}
    node.params = {role: key for role, key in node.params.items() if role not in gone}
    for key in set(gone.values()):
        if not node.graph.users_of(key):
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

"""Weights as integers in the state of the new graph: codes in the smallest type, packed in files."""

from __future__ import annotations

from fractions import Fraction
from itertools import chain, count

import torch
from torch import Tensor

from mase.ir.format import Format
from mase.ir.formats import Integer
from mase.ir.graph import Node
from mase.ir.ops.exact import Code
from mase.ir.state import State
from mase.runtime.given_scales import positive
from mase.runtime.kernels import Encoded, Scale, encode
from mase.runtime.kernels.code import smallest_type

__all__ = ["Constants", "codes_of", "weight_codes"]

_PACKED = 32  # the widest codes that storage packs


class Constants:
    """Puts tensors into the new state, each once.

    Args:
        old: the state of the quantized graph.
        new: that of the integer graph.
    """

    def __init__(self, old: State, new: State) -> None:
        self._old, self._new = old, new

    def kept(self, key: str) -> str:
        """A tensor of the old state that stays as it is."""
        key = self._old.resolve(key)
        if key not in self._new:
            self._new[key] = self._old[key]
            self._new.declare(key, self._old.entry(key).type, "buffer")
        return key

    def given(self, role: str, key: str) -> str:
        """The scale or zero point of an ``int<W>``; a scale as modules take it, which is positive."""
        key = self.kept(key)
        if role == "scale":
            self._new[key] = positive(self._new[key])
        return key

    def key(self, node: Node, role: str, tensor: Tensor, format: Code | None) -> str:
        """A key with this tensor: that of the role in the quantized node, or another if it is taken.

        Args:
            node: the node.
            role: the role.
            tensor: integers, or floats as they are.
            format: the format that files pack the integers in; None for the type that they have.
        """
        own = node.params.get(role)
        wish = own or ".".join(p for p in (_home(node), role) if p)
        for key in chain([wish], (f"{wish}_{i}" for i in count(1))):
            if key not in self._new:
                return self._put(key, tensor, format)
            if torch.equal(self._new[key], _narrowed(tensor)) and self._new.entry(key).stored == _stored(
                format
            ):
                return key
        raise AssertionError("there is always another name")

    def _put(self, key: str, tensor: Tensor, format: Code | None) -> str:
        self._new[key] = _narrowed(tensor)
        known = self._old.entry(key).kind if key in self._old else "buffer"
        kind = "frozen" if known == "parameter" else known
        self._new.declare(key, self._new.entry(key).type, kind, _stored(format))
        return key


def _home(node: Node) -> str:
    """The path of the module that has the node's weights; a name of its own for a node without any."""
    homes = {key.removesuffix(f".{role}") for role, key in node.params.items()}
    if len(homes) == 1 and all(key.endswith(f".{role}") for role, key in node.params.items()):
        return homes.pop()
    return f"{node.scope}.{node.name}" if node.scope else node.name


def _stored(format: Code | None) -> Code | None:
    return format if format is not None and format.width <= _PACKED else None


def _narrowed(tensor: Tensor) -> Tensor:
    """Integers in the smallest type that holds them all."""
    if tensor.is_floating_point():
        return tensor
    low, high = (int(end) for end in tensor.aminmax()) if tensor.numel() else (0, 0)
    format = Code.holding(min(low, -1), max(high, 0))
    return tensor.to(smallest_type(format)).contiguous()


def codes_of(
    x: Tensor, format: Format, scale: Tensor | None = None, zero_point: Tensor | None = None
) -> Tensor:
    """The codes of floats as int64, with a given scale or the format's own."""
    found = encode(x.detach(), format, None if scale is None else Scale(scale, zero_point))
    return (found.codes if isinstance(found, Encoded) else found).long()


def weight_codes(weight: Tensor, format: Integer, given: Scale | None) -> tuple[Tensor, list[Fraction]]:
    """The codes of a weight in ``int<W>`` less their zero points, and the exact scale or scales.

    Args:
        weight: the weight.
        format: its format.
        given: its scales; None for those that it has itself.
    """
    found = encode(weight.detach(), format, given)
    assert isinstance(found, Encoded)
    assert found.scale.value is not None
    codes = found.codes.long()
    if found.scale.zero_point is not None:
        zero = found.scale.zero_point.long()
        shape = [1] * weight.dim()
        if format.channel is not None:
            shape[format.channel] = -1
        codes = codes - (zero.view(shape) if format.channel is not None else zero)
    return codes, [Fraction(float(s)) for s in found.scale.value.reshape(-1)]

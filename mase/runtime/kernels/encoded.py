"""Codes together with what they are scaled by."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

__all__ = ["Encoded", "Scale"]


@dataclass(frozen=True, eq=False)
class Scale:
    """What a format needs beside its codes, as it is stored.

    Args:
        value: of the shape that the format's ``scale_shape`` says. ``int`` and ``uint``: positive
            float32; block formats: the code of the shared exponent, uint8; ``nvfp4``: the
            ``fp8_e4m3fn`` code of each block's scale, uint8; ``binary`` and ``ternary``: the factor, float32.
        zero_point: the code of 0 in ``asym`` formats, int32, shaped as ``value``.
        outer: the float32 scale of the whole tensor in ``nvfp4``, of shape ``[]``.
        threshold: the least magnitude that ``ternary`` does not make 0, float32, shaped as ``value``.
            Decoding does not need it.
    """

    value: Tensor | None = None
    zero_point: Tensor | None = None
    outer: Tensor | None = None
    threshold: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Encoded:
    """Integer codes with their scales: what `encode` gives for a format that has scales, and `decode` takes.

    Args:
        codes: integers of the tensor's shape, in the smallest type of torch that holds them.
        scale: the scales, as they are stored.

    Example:
        >>> import torch
        >>> from mase.runtime.kernels import encode
        >>> found = encode(torch.tensor([0.5, -1.27]), "int<8>")
        >>> found.codes.tolist(), round(found.scale.value.item(), 6)
        ([50, -127], 0.01)
    """

    codes: Tensor
    scale: Scale

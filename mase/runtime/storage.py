"""Packed storage: codes at their width, two 4-bit codes a byte, beside their scales."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache

import torch
from torch import Tensor

from mase.ir import Dtype, Format, MaseError, TensorType
from mase.ir.formats import Integer
from mase.runtime.kernels import Encoded, Scale, decode, encode
from mase.runtime.kernels.dtype import torch_dtype

__all__ = ["PackedStorage", "is_packable", "pack_bits", "unpack_bits"]

_CHUNK = 1 << 20  # codes whose bits are spread out at a time; a multiple of 8, so that bytes end with it
_PARTS = ("value", "zero_point", "outer")


def pack_bits(codes: Tensor, width: int) -> Tensor:
    """Integer codes one after the other, ``width`` bits each, lowest bit first.

    Args:
        codes: integers of any shape; negative ones in two's complement.
        width: bits of a code, 1 to 32.

    Returns:
        Bytes, ``ceil(numel * width / 8)`` of them.

    Example:
        >>> pack_bits(torch.tensor([1, -1, 2, 3]), 4).tolist()
        [241, 50]
    """
    flat = codes.reshape(-1)
    chunks = (flat[i : i + _CHUNK].long() for i in range(0, max(len(flat), 1), _CHUNK))
    return torch.cat([_pack(chunk, width) for chunk in chunks])


def _pack(codes: Tensor, width: int) -> Tensor:
    bits = ((codes[:, None] >> torch.arange(width)) & 1).reshape(-1)
    padded = torch.nn.functional.pad(bits, (0, -len(bits) % 8)).reshape(-1, 8)
    return (padded << torch.arange(8)).sum(1).to(torch.uint8)


def unpack_bits(packed: Tensor, width: int, count: int, signed: bool) -> Tensor:
    """The ``count`` codes that `pack_bits` packed, as int64.

    Example:
        >>> unpack_bits(torch.tensor([241, 50], dtype=torch.uint8), 4, 4, signed=True).tolist()
        [1, -1, 2, 3]
    """
    size = _CHUNK // 8 * width  # the bytes of one chunk of codes
    chunks = (packed[i : i + size] for i in range(0, max(len(packed), 1), size))
    codes = torch.cat([_unpack(chunk, width) for chunk in chunks])[:count]
    top = 1 << (width - 1)
    return (codes ^ top) - top if signed else codes


def _unpack(packed: Tensor, width: int) -> Tensor:
    bits = ((packed[:, None].long() >> torch.arange(8)) & 1).reshape(-1)
    bits = bits[: len(bits) // width * width].reshape(-1, width)
    return (bits << torch.arange(width)).sum(1)


class PackedStorage:
    """Stores tensors by the codes of their formats."""

    def pack(
        self, tensor: Tensor, format: Format, scales: Mapping[str, Tensor] | None = None
    ) -> Mapping[str, Tensor]:
        """The codes, packed, and the scales that go with them: those given, or the tensor's own."""
        given = Scale(**scales) if scales and isinstance(format, Integer) else None
        encoded = encode(_rows(tensor.detach().cpu(), format), format, given)
        scale = encoded.scale if isinstance(encoded, Encoded) else Scale()
        parts = {part: getattr(scale, part) for part in _PARTS}
        kept = {part: value.contiguous() for part, value in parts.items() if value is not None}
        return {"": pack_bits(_codes(encoded), format.bits)} | kept

    def unpack(self, parts: Mapping[str, Tensor], format: Format, type: TensorType) -> Tensor:
        """The tensor, bit for bit as it was packed.

        Raises:
            MaseError: if the parts are not those of ``format``.
        """
        shape = [d for d in type.shape if isinstance(d, int)]
        count = math.prod(shape)
        if len(parts[""]) != -(-count * format.bits // 8):
            raise MaseError.of(f"{len(parts[''])} bytes are not {count} codes of {format}")
        dtype, signed = _code_type(format)
        codes = _rows(unpack_bits(parts[""], format.bits, count, signed).to(dtype).reshape(shape), format)
        scale = Scale(**{part: parts.get(part) for part in _PARTS})
        values = decode(Encoded(codes, scale) if format.scale_bits else codes, format)
        assert isinstance(type.format, Dtype)
        return values.reshape(shape).to(torch_dtype(type.format))


def _rows(tensor: Tensor, format: Format) -> Tensor:
    """A convolution's weight as a row for each output, where blocks run along rows as in its op."""
    return tensor.reshape(len(tensor), -1) if format.reach == "row" and tensor.dim() > 2 else tensor


@cache
def _code_type(format: Format) -> tuple[torch.dtype, bool]:
    """The type in which `encode` gives the codes of a format, and whether some are negative."""
    ends = [end if math.isfinite(end) else math.copysign(1.0, end) for end in (format.min, format.max)]
    codes = _codes(encode(torch.tensor(ends, dtype=torch.float64), format))
    return codes.dtype, bool((codes < 0).any())


def _codes(encoded: Tensor | Encoded) -> Tensor:
    return encoded.codes if isinstance(encoded, Encoded) else encoded


def is_packable(tensor: Tensor, format: Format, scales: Mapping[str, Tensor] | None = None) -> bool:
    """Whether a tensor on the grid of ``format`` comes back from its codes, bit for bit.

    Args:
        tensor: what a quantizer of ``format`` gave.
        format: a number format.
        scales: those of the grid, as `PackedStorage.pack` takes them.
    """
    storage = PackedStorage()
    type = TensorType(Dtype.from_torch_name(str(tensor.dtype).removeprefix("torch.")), tuple(tensor.shape))
    return torch.equal(storage.unpack(storage.pack(tensor, format, scales), format, type), tensor)

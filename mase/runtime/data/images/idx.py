"""The IDX format of the MNIST family: a head, then bytes."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mase.ir.diagnostics import MaseError

__all__ = ["read_idx"]

_GZIP = b"\x1f\x8b"
_BYTES = 8  # the number for unsigned bytes; the MNIST family has no other


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The array that a file holds, compressed by gzip or not.

    Args:
        path: the file.

    Raises:
        MaseError: if it is damaged, or holds anything but bytes.
    """
    content = path.read_bytes()
    if content.startswith(_GZIP):
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError, zlib.error) as error:
            raise _damaged(path, str(error)) from None
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != _BYTES:
        raise _damaged(path, "it does not start as an IDX file of bytes does")
    dimensions = content[3]
    head = 4 + 4 * dimensions
    if len(content) < head:
        raise _damaged(path, "it ends within its head")
    shape = struct.unpack(f">{dimensions}I", content[4:head])
    values = np.frombuffer(content, np.uint8, offset=head)
    if values.size != np.prod(shape, dtype=np.int64):
        raise _damaged(path, f"its head says {shape}, but {values.size} bytes follow")
    return values.reshape(shape)


def _damaged(path: Path, why: str) -> MaseError:
    return MaseError.of(f"{path} is damaged: {why}", help="remove it, and get it anew")

"""The arithmetic of number formats: ``encode``, ``decode``, ``quantize`` and ``fake_quantize``.

One kernel a format class; a new family joins by `register_kernel` in a file of its own.
"""

from mase.runtime.kernels import binary, block, code, dtype, fixed, integer, log, minifloat, nvfp4, ops
from mase.runtime.kernels.base import (
    Kernel,
    ScaledKernel,
    decode,
    encode,
    kernel_of,
    quantize,
    register_kernel,
    scale_of,
)
from mase.runtime.kernels.encoded import Encoded, Scale
from mase.runtime.kernels.ste import fake_quantize

__all__ = [
    "Encoded",
    "Kernel",
    "Scale",
    "ScaledKernel",
    "binary",
    "block",
    "code",
    "decode",
    "dtype",
    "encode",
    "fake_quantize",
    "fixed",
    "integer",
    "kernel_of",
    "log",
    "minifloat",
    "nvfp4",
    "ops",
    "quantize",
    "register_kernel",
    "scale_of",
]

"""The arithmetic of number formats: ``encode``, ``decode``, ``quantize`` and ``fake_quantize``.

One kernel a format class; a new family joins by `register_kernel` in a file of its own.
"""

from mase.runtime.kernels import dtype, fixed, ops
from mase.runtime.kernels.base import Kernel, decode, encode, kernel_of, quantize, register_kernel
from mase.runtime.kernels.ste import fake_quantize

__all__ = [
    "Kernel",
    "decode",
    "dtype",
    "encode",
    "fake_quantize",
    "fixed",
    "kernel_of",
    "ops",
    "quantize",
    "register_kernel",
]

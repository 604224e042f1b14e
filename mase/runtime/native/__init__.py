"""Fake quantization in one pass over memory: a small C library, compiled once by the system's compiler.

It gives the bits of the pure-torch reference in `mase.runtime.kernels`, which computes wherever the
library cannot: other devices and types than float32 on the CPU, tensors that torch traces or transforms, a
system without a compiler. ``MASE_NATIVE=0`` switches it off, ``MASE_CACHE_DIR`` says where it is kept.
"""

from mase.runtime.native.library import status
from mase.runtime.native.plans import Plan, ScaledPlan, plan_for, register_plan, scaled_plan_for

__all__ = ["Plan", "ScaledPlan", "plan_for", "register_plan", "scaled_plan_for", "status"]

"""What the library computes: one file a family of formats."""

from mase.runtime.native.families import block, fixed, integer, minifloat

__all__ = ["block", "fixed", "integer", "minifloat"]

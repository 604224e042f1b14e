"""What the library computes: one file a family of formats."""

from mase.runtime.native.families import fixed

__all__ = ["fixed"]

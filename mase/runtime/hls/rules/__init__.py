"""The rules of `to_hls`, by kind of op."""

from mase.runtime.hls.rules import activations, averages, elementwise, exact, moves, pools, products, refused

__all__ = ["activations", "averages", "elementwise", "exact", "moves", "pools", "products", "refused"]

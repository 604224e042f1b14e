"""Executes what the passes decided: lowering, numerics, training. Never imports `mase.passes`."""

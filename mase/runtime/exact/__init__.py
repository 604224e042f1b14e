"""Exact integer arithmetic: pure functions of int64 codes, in which no float occurs.

Each has its parameters in a frozen record that is computed once, when the graph is compiled. Every step
exists in hardware and in ONNX: sums, products, shifts, look-ups, and divisions of numbers that are not
negative.
"""

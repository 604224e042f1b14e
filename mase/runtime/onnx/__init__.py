"""ONNX out: graphs printed as float, QDQ, QONNX or integer models, one `to_onnx` rule an op."""

from mase.runtime.onnx.printer import print_graph
from mase.runtime.onnx.qdq import QdqQuantizers
from mase.runtime.onnx.qonnx import QonnxQuantizers
from mase.runtime.onnx.registry import call_to_onnx, to_onnx, to_onnx_quantized
from mase.runtime.onnx.site import Quantizers, Site

__all__ = [
    "QdqQuantizers",
    "QonnxQuantizers",
    "Quantizers",
    "Site",
    "call_to_onnx",
    "print_graph",
    "to_onnx",
    "to_onnx_quantized",
]

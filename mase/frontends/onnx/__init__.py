"""ONNX in: float, QDQ and QONNX models as graphs; one `from_onnx` rule an operator."""

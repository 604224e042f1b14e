"""DequantizeLinear before what moves elements, in a form that onnxruntime loads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from onnx import NodeProto, TensorProto

__all__ = ["leave_out_zero_points"]

_MOVES = frozenset({"Flatten", "MaxPool", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"})


def leave_out_zero_points(
    nodes: Sequence[NodeProto], initializers: Mapping[str, TensorProto], outputs: Collection[str]
) -> None:
    """Leave out the zero point 0 of int8 wherever a value moves and then goes on in float.

    The optimiser of onnxruntime (1.32) dequantizes such a value after the move, with a quantizer of its own
    before that. It takes int8 to uint8 and, in files of opset 21 and later, leaves the quantizer's type as
    it was, so that the session fails. It keeps its hands off where there is no zero point, which means 0.

    Args:
        nodes: the nodes of a file, changed in place.
        initializers: its constants.
        outputs: the names of its results.
    """
    users: dict[str, list[NodeProto]] = defaultdict(list)
    for node in nodes:
        for name in node.input:
            users[name].append(node)

    def goes_on_in_float(value: str) -> bool:
        return value in outputs or any(
            goes_on_in_float(user.output[0]) if user.op_type in _MOVES else user.op_type != "QuantizeLinear"
            for user in users[value]
        )

    for node in nodes:
        zero = initializers.get(node.input[2]) if len(node.input) > 2 else None
        if node.op_type != "DequantizeLinear" or zero is None or zero.data_type != TensorProto.INT8:
            continue
        moves = [user.output[0] for user in users[node.output[0]] if user.op_type in _MOVES]
        if any(map(goes_on_in_float, moves)) and not any(zero.raw_data):
            del node.input[2]

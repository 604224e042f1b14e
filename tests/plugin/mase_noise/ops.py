"""The op and the annotation of the plugin."""

from mase.ir import Op, TensorType, Type, register_annotation, register_op

__all__ = ["Loudness", "Noise"]


@register_op("noise.uniform")
class Noise(Op):
    """``data_in`` plus noise from ``[-scale, scale]``."""

    scale: float = 0.1

    def infer(self, data_in: TensorType) -> Type:
        return data_in


@register_annotation("noise.loudness")
class Loudness:
    """How loud a value may be.

    Args:
        level: the largest magnitude of the noise.
    """

    level: float

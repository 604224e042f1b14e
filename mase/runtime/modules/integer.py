"""The integer family: trainable modules that quantize their operands to fixed point.

Each class takes the arguments of the torch module that it is made from, and ``config``. The classes of
ops that have no torch module take ``config`` alone.

Example:
    >>> import torch
    >>> add = AddInteger(config={"data_in": "fixed<8,4>", "other": "fixed<8,6>"})
    >>> add(torch.tensor([0.1]), torch.tensor([0.1]))
    tensor([0.2188])
"""

from __future__ import annotations

from mase.ir.ops import integer
from mase.ir.ops.quantized import QuantizedOp
from mase.runtime.modules import average, contraction, elementwise, norm
from mase.runtime.modules.base import QuantizedModule
from mase.runtime.modules.factory import quantized_module

__all__ = [
    "ARITHMETIC",
    "AdaptiveAvgPool1dInteger",
    "AdaptiveAvgPool2dInteger",
    "AdaptiveMaxPool1dInteger",
    "AdaptiveMaxPool2dInteger",
    "AddInteger",
    "AvgPool1dInteger",
    "AvgPool2dInteger",
    "BatchNormInteger",
    "Conv1dInteger",
    "Conv2dInteger",
    "ConvTranspose1dInteger",
    "ConvTranspose2dInteger",
    "EmbeddingInteger",
    "LinearInteger",
    "MatmulInteger",
    "MaxPool1dInteger",
    "MaxPool2dInteger",
    "MulInteger",
    "ReluInteger",
    "SubInteger",
]

ARITHMETIC = (average, contraction, elementwise, norm)
"""The modules that register how the float ops compute."""


def _made(op: type[QuantizedOp], doc: str = "", name: str = "") -> type[QuantizedModule]:
    return quantized_module(op, name=name, module=__name__, doc=doc)


LinearInteger = _made(
    integer.LinearInteger,
    """A `torch.nn.Linear` that quantizes its input, weight and bias; its result is exact.

    ``LinearInteger(in_features, out_features, bias=True, config={...})``

    Args:
        in_features: size of the last dimension of the input.
        out_features: size of the last dimension of the result.
        bias: whether a bias is added.
        config: the formats of ``data_in``, ``weight`` and ``bias``, as text (``"fixed<8,4>"``) or keyed
            (``data_in_width``, ``data_in_frac_width``, ...); what has none stays in float.

    Raises:
        MaseError: if ``config`` has an unknown key, or a format is wrong or incomplete.

    Example:
        >>> import torch
        >>> layer = LinearInteger(2, 1, bias=False, config={
        ...     "data_in_width": 8, "data_in_frac_width": 4,
        ...     "weight_width": 8,  "weight_frac_width": 6})
        >>> layer
        LinearInteger(in_features=2, out_features=1, bias=False, data_in=fixed<8,4>, weight=fixed<8,6>)
        >>> _ = layer.load_state_dict({"weight": torch.tensor([[0.5, 0.26]])})
        >>> layer(torch.tensor([1.03, 1.0])).tolist()
        [0.765625]
    """,
)
Conv1dInteger = _made(integer.Conv1dInteger)
Conv2dInteger = _made(integer.Conv2dInteger)
ConvTranspose1dInteger = _made(integer.ConvTranspose1dInteger)
ConvTranspose2dInteger = _made(integer.ConvTranspose2dInteger)
BatchNormInteger = _made(integer.BatchNormInteger)
EmbeddingInteger = _made(integer.EmbeddingInteger)
MatmulInteger = _made(integer.MatMulInteger, name="MatmulInteger")
AddInteger = _made(integer.AddInteger)
SubInteger = _made(integer.SubInteger)
MulInteger = _made(integer.MulInteger)
ReluInteger = _made(integer.ReluInteger)
MaxPool1dInteger = _made(integer.MaxPool1dInteger)
MaxPool2dInteger = _made(integer.MaxPool2dInteger)
AvgPool1dInteger = _made(integer.AvgPool1dInteger)
AvgPool2dInteger = _made(integer.AvgPool2dInteger)
AdaptiveAvgPool1dInteger = _made(integer.AdaptiveAvgPool1dInteger)
AdaptiveAvgPool2dInteger = _made(integer.AdaptiveAvgPool2dInteger)
AdaptiveMaxPool1dInteger = _made(integer.AdaptiveMaxPool1dInteger)
AdaptiveMaxPool2dInteger = _made(integer.AdaptiveMaxPool2dInteger)

"""`LinearInteger`, the first of the family that everyone meets; the others are made the same way."""

from __future__ import annotations

from mase.ir.ops import integer
from mase.runtime.modules import contraction
from mase.runtime.modules.factory import quantized_module

__all__ = ["LinearInteger", "contraction"]

LinearInteger = quantized_module(
    integer.LinearInteger,
    doc="""A `torch.nn.Linear` that quantizes its input, weight and bias; its result is exact.

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

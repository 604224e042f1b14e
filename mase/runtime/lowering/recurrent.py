"""Lowering of recurrent nets."""

from __future__ import annotations

from typing import Any

from torch import nn as torch_nn

from mase.ir.ops import recurrent
from mase.runtime.lowering.registry import Source, to_module

__all__ = ["net"]

_CLASSES: dict[type[recurrent.Recurrent], type[torch_nn.RNNBase]] = {
    recurrent.Rnn: torch_nn.RNN,
    recurrent.Gru: torch_nn.GRU,
    recurrent.Lstm: torch_nn.LSTM,
}


@to_module.register(*_CLASSES)
def net(op: recurrent.Recurrent, source: Source) -> torch_nn.Module:
    """``nn.rnn``, ``nn.gru`` and ``nn.lstm``."""
    rows, features = source.shape("weight_ih_l0")
    more: dict[str, Any] = {}
    if isinstance(op, recurrent.Rnn):
        more["nonlinearity"] = op.nonlinearity
    if source.has("weight_hr_l0"):
        more["proj_size"] = source.shape("weight_hr_l0")[0]
    return _CLASSES[type(op)](
        input_size=features,
        hidden_size=rows // op.gates,
        num_layers=op.layers,
        bias=source.has("bias_ih_l0"),
        batch_first=op.batch_first,
        dropout=op.dropout,
        bidirectional=op.bidirectional,
        **more,
    )

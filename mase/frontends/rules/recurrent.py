"""Recurrent nets."""

from __future__ import annotations

from typing import Any, cast

from torch import nn

from mase.frontends.rules.base import from_module
from mase.ir.op import Op
from mase.ir.ops import recurrent

__all__: list[str] = []


def _attributes(module: nn.RNNBase) -> dict[str, Any]:
    return {
        "layers": module.num_layers,
        "bidirectional": module.bidirectional,
        "batch_first": module.batch_first,
        "dropout": float(module.dropout),
    }


@from_module.register(nn.RNN)
def _rnn(module: nn.RNN) -> Op:
    nonlinearity = cast(Any, module).nonlinearity
    return recurrent.Rnn(**_attributes(module), nonlinearity=nonlinearity)


@from_module.register(nn.GRU)
def _gru(module: nn.GRU) -> Op:
    return recurrent.Gru(**_attributes(module))


@from_module.register(nn.LSTM)
def _lstm(module: nn.LSTM) -> Op:
    return recurrent.Lstm(**_attributes(module))

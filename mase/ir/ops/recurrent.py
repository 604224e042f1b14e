"""Recurrent nets: whole stacks of layers over a sequence, as one op each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from mase.ir.dim import Dim
from mase.ir.op import Op, OpError, register_op
from mase.ir.ops.shapes import same, tensor
from mase.ir.types import TensorType, TupleType, Type

__all__ = ["Gru", "Lstm", "Recurrent", "Rnn"]


@dataclass(frozen=True, kw_only=True)
class Recurrent(Op):
    """Base of the recurrent nets; gives ``(output, state)``.

    The input is ``[length, batch, features]``; the batch comes first with ``batch_first``, or is absent.
    The weights are called as torch calls them: ``weight_ih_l0``, ``weight_hh_l0``, ``bias_ih_l0``,
    ``bias_hh_l0``, with ``l1`` for the next layer and ``_reverse`` for the way back.

    Args:
        layers: how many layers stand on one another.
        bidirectional: whether each layer also reads the sequence from its end.
        batch_first: whether the batch comes before the length.
        dropout: the probability of dropping an element between layers, in training.
    """

    gates: ClassVar[int]
    layers: int = 1
    bidirectional: bool = False
    batch_first: bool = False
    dropout: float = 0.0

    def infer(
        self,
        data_in: TensorType,
        state: TensorType | None = None,
        *,
        weight_ih_l0: TensorType,
        weight_hh_l0: TensorType,
        **weights: TensorType,
    ) -> Type:
        output, last = self._results(data_in, weight_ih_l0, weight_hh_l0)
        _fits(state, last, "state")
        return TupleType((output, last))

    def _results(self, data_in: TensorType, ih: TensorType, hh: TensorType) -> tuple[TensorType, TensorType]:
        """The types of the output and of the last state."""
        x = tensor(data_in, "data_in", 2, 3)
        tensor(ih, "weight_ih_l0", 2)
        same(ih.shape[1], x.shape[-1], "features of data_in")
        directions = 2 if self.bidirectional else 1
        batch: tuple[Dim, ...] = () if x.rank == 2 else (x.shape[0 if self.batch_first else 1],)
        features = tensor(hh, "weight_hh_l0", 2).shape[1]
        output = x.with_shape((*x.shape[:-1], features * directions))
        return output, x.with_shape((self.layers * directions, *batch, features))


def _fits(given: TensorType | None, wanted: TensorType, what: str) -> None:
    """Refuse a first state that has not the shape of the last one."""
    if given is None:
        return
    found = tensor(given, what, wanted.rank)
    for i, (a, b) in enumerate(zip(wanted.shape, found.shape, strict=True)):
        same(a, b, f"{what}, dimension {i}")


@register_op("nn.rnn")
class Rnn(Recurrent):
    """``state = tanh(W_ih x + b_ih + W_hh state + b_hh)``, or with ``relu``."""

    gates = 1
    nonlinearity: Literal["tanh", "relu"] = "tanh"


@register_op("nn.gru")
class Gru(Recurrent):
    """Gated recurrent units (arXiv:1406.1078), with the gates reset, update, new in this order."""

    gates = 3


@register_op("nn.lstm")
class Lstm(Recurrent):
    """Long short-term memory with the gates input, forget, cell, output; gives ``(output, (state, cell))``.

    With ``weight_hr_l0`` the state is a projection of the hidden one (arXiv:1402.1128).
    """

    gates = 4

    def infer(
        self,
        data_in: TensorType,
        state: TensorType | None = None,
        cell: TensorType | None = None,
        *,
        weight_ih_l0: TensorType,
        weight_hh_l0: TensorType,
        **weights: TensorType,
    ) -> Type:
        if (state is None) != (cell is None):
            raise OpError("expected both of state and cell, or neither")
        output, last = self._results(data_in, weight_ih_l0, weight_hh_l0)
        hidden = weight_ih_l0.shape[0] // self.gates
        last_cell = last.with_shape((*last.shape[:-1], hidden))
        _fits(state, last, "state")
        _fits(cell, last_cell, "cell")
        return TupleType((output, TupleType((last, last_cell))))

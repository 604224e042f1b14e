"""One case: a model, how many bits, and what shares a scale of which kind."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor

import mase
from mase.frontends.zoo import find_model, load_pretrained
from mase.ir import Graph
from mase.ir.ops import conv, nn
from mase.runtime.data import make_data

__all__ = ["CASES", "Case"]

Per = Literal["tensor", "channel"]
Scales = Literal["powers of two", "any"]

_FEATURES = 16  # of jets
_JETS = 1000


@dataclass(frozen=True)
class Case:
    """A model with its formats.

    Args:
        model: its name in the zoo.
        bits: of weights and activations.
        per: what has a scale of its own, a weight as a whole or each of its outputs.
        scales: whether they are powers of two.
    """

    model: str
    bits: int
    per: Per
    scales: Scales

    def __str__(self) -> str:
        return f"{self.model}, {self.bits} bits, per {self.per}, {self.scales}"

    @property
    def shifts(self) -> bool:
        """Whether all formats are ``fixed<W,F>``."""
        return (self.per, self.scales) == ("tensor", "powers of two")

    @property
    def formats(self) -> str:
        """The options of ``quantize``."""
        data_in = f"fixed<{self.bits}>" if self.scales == "powers of two" else f"int<{self.bits}>"
        weight = f"int<{self.bits},channel=0>" if self.per == "channel" else data_in
        options = f'default = {{data_in = "{data_in}", weight = "{weight}"}}, batches = 1, calibrate = mse'
        # Weights were moved to where the range of an output gives such scales; the least error need not.
        return options if self.shifts else f"{options}, weight_scales = dynamic, requant = dyadic"

    def graph(self) -> Graph:
        """The quantized graph, with weights that were trained where the zoo has them."""
        torch.manual_seed(0)
        model, x = find_model(self.model)(), _inputs(self.model)
        if self.model != "jet-tagging":
            load_pretrained(self.model, model)
        graph = mase.trace(model.eval(), (x[:2],))
        mase.Pipeline("fold-batchnorm").run(graph)
        if self.per == "channel" and self.scales == "powers of two":
            _snap(graph, self.bits)
        mase.Pipeline(f"quantize{{{self.formats}}}").run(graph, _Rows(x))
        return graph


CASES = tuple(
    Case(model, bits, per, scales)
    for model, bits, per, scales in product(
        ("digits-cnn", "digits-residual", "jet-tagging"),
        (8, 6, 4, 2),
        ("tensor", "channel"),
        ("powers of two", "any"),
    )
)


def _inputs(model: str) -> Tensor:
    """What scales are taken from: digits, and in place of jets numbers of their distribution."""
    if model == "jet-tagging":
        return torch.randn(_JETS, _FEATURES)
    data = make_data("digits")
    data.prepare_data()
    data.setup("fit")
    return torch.cat([x for x, _ in data.val_dataloader()])


def _snap(graph: Graph, bits: int) -> None:
    """Move weights to where ``absmax / kmax`` of each output is a power of two."""
    most = 2 ** (bits - 1) - 1
    for node in graph.nodes:
        if isinstance(node.op, nn.Linear | conv.Conv):
            weight = graph.state[node.params["weight"]].clone()
            for row in weight.flatten(1):
                end = most * 2.0 ** (row.abs().max() / most).log2().round()
                row.clamp_(-end, end)
                at = row.abs().argmax()
                row[at] = row[at].sign() * end
            graph.state[node.params["weight"]] = weight


class _Rows(LightningDataModule):
    """A data set of one batch."""

    def __init__(self, x: Tensor) -> None:
        super().__init__()
        self._batch = (x, torch.zeros(len(x)))

    def train_dataloader(self) -> list[Any]:
        return [self._batch]

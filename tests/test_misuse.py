"""What a newcomer types in Python first, and wrongly: an error that says what to write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import mase
from mase.ir import Graph, MaseError

X = torch.randn(2, 4)
DATA: Any = TensorDataset(X, torch.zeros(2, dtype=torch.long))


def graph() -> Graph:
    return mase.trace(nn.Linear(4, 2), (X,))


WRONG: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a tensor for args": (lambda any: mase.trace(nn.Linear(4, 2), any(X)), r"args is a tensor\n.*\(x,\)"),
    "a function": (lambda any: mase.trace(any(len), (X,)), r"expected an nn\.Module, found a builtin"),
    "a class": (lambda any: mase.trace(any(nn.Linear), (X,)), "found the class Linear\n.*an instance"),
    "a list for data": (lambda any: mase.Pipeline("quantize").run(graph(), any([X])), "data is a list"),
    "a loader": (lambda any: mase.Pipeline("quantize").run(graph(), any(DataLoader(DATA))), "from_datasets"),
    "numbers": (lambda any: mase.quantize(any([1.0]), "fixed<8,4>"), r"found a list\n.*torch\.tensor"),
    "integers": (lambda any: mase.quantize(torch.tensor([1]), "fixed<8,4>"), r"int64\n.*x\.float\(\)"),
    "integers to encode": (lambda any: mase.encode(torch.tensor([1]), "mxint<8,2>"), "expected floats"),
    "floats to decode": (lambda any: mase.decode(torch.tensor([1.5]), "fixed<8,4>"), "codes are integers"),
}


@pytest.mark.parametrize("name", WRONG)
def test_says_what_to_write(name: str) -> None:
    call, message = WRONG[name]
    with pytest.raises(MaseError, match=message):
        call(lambda x: x)


def test_types_of_the_machine_hold_integers() -> None:
    assert mase.decode(mase.encode(torch.tensor([1.0, 2.0]), "i8"), "i8").tolist() == [1, 2]

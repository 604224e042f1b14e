"""What the tests of level integer share: models, quantized and legalized, and the comparison of values."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, fx, nn

import mase
from mase.frontends.zoo import find_model, load_pretrained
from mase.ir import Graph
from mase.ir.ops.exact import Quantity, real_value
from mase.runtime.data import make_data
from mase.runtime.lower import lower


def digits(name: str) -> tuple[nn.Module, Tensor]:
    """A model of the zoo on digits, trained where its weights are shipped, and real digits."""
    torch.manual_seed(0)
    model = find_model(name)()
    if name == "digits-cnn":
        load_pretrained(name, model)
    return model.eval(), images()


def images() -> Tensor:
    data = make_data("digits")
    data.prepare_data()
    data.setup("test")
    return torch.cat([x for x, _ in data.test_dataloader()])


def quantized(model: nn.Module, x: Tensor, *, rounding: str = "", **formats: str) -> Graph:
    """A traced model, its formats calibrated on ``x``."""
    graph = mase.trace(model, (x[:4],))
    default = ", ".join(f'{role} = "{text}"' for role, text in formats.items())
    rounds = f', rounding = "{rounding}"' if rounding else ""
    options = f"quantize{{default = {{ {default} }}, batches = 1{rounds}}}"
    mase.Pipeline(["fold-batchnorm", options]).run(graph, Batches(x))
    return graph


class Batches(pl.LightningDataModule):
    """A data set of one batch, for calibration."""

    def __init__(self, x: Tensor) -> None:
        super().__init__()
        self._x = x

    def train_dataloader(self) -> list[Any]:
        return [(self._x, torch.zeros(len(self._x)))]

    val_dataloader = test_dataloader = train_dataloader


def legalized(graph: Graph, options: str = "") -> Graph:
    made = graph.copy()
    mase.Pipeline(f"legalize-casts{options}").run(made)
    return made


class _Watch(fx.Interpreter):
    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.seen: dict[str, Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if isinstance(value, Tensor):
            self.seen[n.name] = value
        return value


def simulated(graph: Graph, *inputs: Tensor) -> dict[str, Tensor]:
    """Every value of the fake-quantized module in eval mode."""
    watch = _Watch(lower(graph).eval())
    with torch.no_grad():
        watch.run(*inputs)
    return watch.seen


def assert_equal_everywhere(graph: Graph, integer: Graph, *inputs: Tensor) -> int:
    """Compare every value that both graphs compute; give the number of compared elements."""
    expected, found = simulated(graph, *inputs), mase.interpret(integer, *inputs)
    compared = 0
    for node in integer.nodes:
        if node.name not in expected or node.op.name.startswith(("core", "torch", "tensor.flatten", "nn.")):
            continue  # moves move codes here and accumulators there
        real = real_value(node, found[node.name]) if Quantity in node.meta else found[node.name]
        assert torch.equal(real.to(expected[node.name].dtype), expected[node.name]), node.name
        compared += real.numel()
    for node, shipped in zip(graph.outputs, integer.outputs, strict=True):
        assert torch.equal(found[shipped.name], expected[node.name])
        compared += found[shipped.name].numel()
    return compared

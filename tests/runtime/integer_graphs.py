"""What the tests of level integer share: models, quantized and legalized, and the comparison of values."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, fx, nn

import mase
from mase.frontends.zoo import find_model, load_pretrained
from mase.ir import Fixed, Graph
from mase.ir.formats import Integer
from mase.ir.ops.exact import Constant, ExactOp, Quantity, real_value
from mase.ir.ops.quantized import QuantizedOp
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


class Residual(nn.Module):
    """A depthwise separable block with a residual sum, and what mobile networks have around it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.norm1 = nn.BatchNorm2d(8)
        self.pointwise = nn.Conv2d(8, 8, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(8)
        self.pool = nn.AvgPool2d(2)
        self.head = nn.Linear(8, 10)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_()  # type: ignore[union-attr]
                module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = torch.relu(self.norm1(self.depthwise(x)))
        x = torch.relu(x + self.norm2(self.pointwise(y)))
        return self.head(self.pool(x).mean((2, 3)))


class Attention(nn.Module):
    """Both products of attention: of two values, neither of them a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(16, 16) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        heads = (f(x).view(-1, 7, 4, 4).transpose(1, 2) for f in (self.query, self.key, self.value))
        query, key, value = heads
        return (query @ key.transpose(-2, -1) @ value).transpose(1, 2).flatten(2)


class Joined(nn.Module):
    """Concatenation, slices, a mean, a product, a difference, and padding by reflection."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1, padding_mode="reflect")
        self.fc, self.last = nn.Linear(8, 8), nn.Conv1d(4, 6, 3)

    def forward(self, x: Tensor) -> Tensor:
        left, right = torch.cat([self.conv(x), x], 1).chunk(2, -1)
        y = self.fc(torch.cat([left, right], -1)[:, :4]).mean(2)
        return self.last(y) * y[:, :1, :6] - y[:, :1, :6]


def jets() -> nn.Module:
    """The 16-64-32-32-5 perceptron of jet tagging (arXiv:1804.06913)."""
    sizes = (16, 64, 32, 32, 5)
    layers = [m for i, o in pairwise(sizes) for m in (nn.Linear(i, o), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def _seeded(make: Callable[[], nn.Module], x: Callable[[], Tensor]) -> Callable[[], tuple[nn.Module, Tensor]]:
    def build() -> tuple[nn.Module, Tensor]:
        torch.manual_seed(0)
        return make().eval(), x()

    return build


MODELS: dict[str, Callable[[], tuple[nn.Module, Tensor]]] = {
    "digits-cnn": lambda: digits("digits-cnn"),
    "toy": _seeded(lambda: find_model("toy")(), lambda: torch.randn(200, 1, 2, 2)),
    "residual": _seeded(Residual, images),
    "jets": _seeded(jets, lambda: torch.randn(300, 16)),
    "attention": _seeded(Attention, lambda: torch.randn(40, 7, 16)),
    "joined": _seeded(Joined, images),
}


def ties(graph: Graph, x: Tensor) -> Tensor:
    """Inputs half of which lie between two numbers of the first format, some beyond its bounds."""
    node = graph.find(QuantizedOp)[0]
    assert isinstance(node.op, QuantizedOp)
    format = next(iter(node.op.formats.values()))
    if isinstance(format, Fixed):
        step = format.step
    else:
        assert isinstance(format, Integer)
        step = float(graph.state[node.params["data_in_scale"]])
    generator = torch.Generator().manual_seed(5)
    low, high = 2 * format.code_min - 5, 2 * format.code_max + 6
    return torch.randint(low, high, x.shape, generator=generator) * (step / 2)


def scale_to_powers_of_two(model: nn.Module, width: int) -> None:
    """Give linear layers weights whose ``absmax / kmax`` is a power of two, in each row, and no bias."""
    most = 2 ** (width - 1) - 1
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            codes = torch.randint(-most, most + 1, layer.weight.shape)
            codes[:, 0] = most
            layer.weight.data = codes * 2.0 ** -(width + 1)
            layer.bias.data.zero_()


def snap_scales(graph: Graph) -> None:
    """Round the scales of activations to powers of two."""
    for key in graph.state:
        if key.endswith("_scale"):
            graph.state[key] = 2.0 ** graph.state[key].log2().round()


def quantized(model: nn.Module, x: Tensor, *, rounding: str = "", options: str = "", **formats: str) -> Graph:
    """A traced model, its formats calibrated on ``x``."""
    graph = mase.trace(model, (x[:4],))
    default = ", ".join(f'{role} = "{text}"' for role, text in formats.items())
    more = [f"rounding = {rounding}"] * bool(rounding) + [options] * bool(options)
    text = f"quantize{{{', '.join([f'default = {{ {default} }}', 'batches = 1', *more])}}}"
    mase.Pipeline(["fold-batchnorm", text]).run(graph, Batches(x))
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
        if node.name not in expected or not isinstance(node.op, ExactOp) or isinstance(node.op, Constant):
            continue  # moves move codes here and accumulators there
        real = real_value(node, found[node.name]) if Quantity in node.meta else found[node.name]
        assert torch.equal(real.to(expected[node.name].dtype), expected[node.name]), node.name
        compared += real.numel()
    for node, shipped in zip(graph.outputs, integer.outputs, strict=True):
        assert torch.equal(found[shipped.name], expected[node.name])
        compared += found[shipped.name].numel()
    return compared

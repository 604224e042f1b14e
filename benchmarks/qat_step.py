"""A step of quantization-aware training beside the float step: mase, torch.ao, torchao, Brevitas.

    python benchmarks/qat_step.py [--rounds 25] [--threads 1] [--json J] [--plot PNG]

Weights are int8 with a scale per channel, activations int8 with a scale per tensor, in every linear layer and
convolution; a step is forward, backward and SGD. Each contender replaces the layers of a copy of the same
model by its own, all run in turns in one process, and times are told as multiples of the float step. What
cannot be imported or refuses to run is skipped, and named.
"""

from __future__ import annotations

import argparse
import copy
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from side_by_side import Comparison, Step, report
from torch import Tensor, nn

from mase.runtime import modules, native

Replace = Callable[[nn.Module], nn.Module]
TARGETS = {"MLP 784-512-512-10, batch 128": 1.3, "CNN with batch norm": 1.15, "BERT-mini layer": 1.15}
LAYER, LAYER_TARGET = "linear 768 to 3072, batch 128: forward and backward", 1.3


class Encoder(nn.Module):
    """A layer of BERT-mini: 256 features, 4 heads, 1024 in between."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(256, 256) for _ in range(4))
        self.up, self.down = nn.Linear(256, 1024), nn.Linear(1024, 256)
        self.norms = nn.ModuleList([nn.LayerNorm(256), nn.LayerNorm(256)])

    def forward(self, x: Tensor) -> Tensor:
        batch, length, _ = x.shape
        projected = (
            f(x).view(batch, length, 4, 64).transpose(1, 2) for f in (self.query, self.key, self.value)
        )
        mixed = F.scaled_dot_product_attention(*projected).transpose(1, 2).reshape(batch, length, 256)
        x = self.norms[0](x + self.out(mixed))
        return self.norms[1](x + self.down(F.gelu(self.up(x))))


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
    )  # fmt: skip


def cnn() -> nn.Module:
    """Three convolutions with batch norm on 32x32 images."""

    def block(inputs: int, outputs: int) -> list[nn.Module]:
        return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]

    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10)]
    return nn.Sequential(*block(3, 32), *block(32, 64), nn.MaxPool2d(2), *block(64, 128), *head)


# -- contenders: how each replaces a linear layer or a convolution ----------------------------------


def mase(activation: str, weight: str, title: str) -> Replace:
    """Ours; `title` says the arithmetic family."""

    def replace(layer: nn.Module) -> nn.Module:
        config = {"data_in": activation, "weight": weight}
        own: Any = layer
        if isinstance(layer, nn.Linear):
            made = getattr(modules, f"Linear{title}")
            made = made(own.in_features, own.out_features, own.bias is not None, config=config)
        else:
            sizes = own.in_channels, own.out_channels, own.kernel_size, own.stride, own.padding
            made = getattr(modules, f"Conv2d{title}")(*sizes, bias=own.bias is not None, config=config)
        made.load_state_dict(layer.state_dict())
        return made

    return replace


def torch_ao(layer: nn.Module) -> nn.Module:
    """torch.ao with its fused fake quantization, which observes."""
    from torch.ao import quantization as ao
    from torch.ao.nn import qat

    activation, weight = ao.default_fused_act_fake_quant, ao.default_fused_per_channel_wt_fake_quant
    layer.qconfig = ao.QConfig(activation, weight)  # type: ignore[assignment]
    kind = qat.Linear if isinstance(layer, nn.Linear) else qat.Conv2d
    return nn.Sequential(activation(), kind.from_float(layer))


def torchao(layer: nn.Module) -> nn.Module:
    """torchao; its activations have a scale per token, for it offers none per tensor."""
    from torchao.quantization.qat import FakeQuantizedLinear, IntxFakeQuantizeConfig

    if not isinstance(layer, nn.Linear):
        raise TypeError("torchao quantizes no convolutions")
    activation = IntxFakeQuantizeConfig(torch.int8, "per_token", is_symmetric=False)
    return FakeQuantizedLinear.from_linear(
        layer, activation, IntxFakeQuantizeConfig(torch.int8, "per_channel")
    )


def brevitas(layer: nn.Module) -> nn.Module:
    """Brevitas with scales that are learned once it has collected statistics."""
    import brevitas.nn as qnn
    from brevitas.quant import Int8ActPerTensorFloat, Int8WeightPerChannelFloat

    own: Any = layer
    options = {"weight_quant": Int8WeightPerChannelFloat, "input_quant": Int8ActPerTensorFloat}
    if isinstance(layer, nn.Linear):
        made = qnn.QuantLinear(own.in_features, own.out_features, own.bias is not None, **options)
    else:
        sizes = own.in_channels, own.out_channels, own.kernel_size[0]
        made = qnn.QuantConv2d(*sizes, padding=own.padding, bias=own.bias is not None, **options)
    made.load_state_dict(layer.state_dict(), strict=False)
    return made


CONTENDERS: dict[str, Replace] = {
    "float": lambda layer: layer,
    "mase int<8>, int<8,channel=0>": mase("int<8>", "int<8,channel=0>", "ScaleInteger"),
    "mase fixed<8,4>, fixed<8,6>": mase("fixed<8,4>", "fixed<8,6>", "Integer"),
    "mase mxint<8,32>": mase("mxint<8,32>", "mxint<8,32>", "MXInt"),
    "torch.ao": torch_ao,
    "torchao": torchao,
    "Brevitas": brevitas,
}


def replaced(model: nn.Module, replace: Replace) -> nn.Module:
    """A copy of ``model`` with the contender's layers."""
    if isinstance(model, nn.Linear | nn.Conv2d):
        return replace(copy.deepcopy(model))
    model = copy.deepcopy(model)
    for name, layer in list(model.named_modules()):
        if isinstance(layer, nn.Linear | nn.Conv2d):
            model.set_submodule(name, replace(layer))
    return model


def training(model: nn.Module, replace: Replace, x: Tensor, loss: Callable[[Tensor], Tensor]) -> Step:
    """A training step of a contender, made at its first call."""
    made: list[Any] = []

    def step() -> None:
        if not made:
            own = replaced(model, replace).train()
            made.extend((own, torch.optim.SGD(own.parameters(), 0.01)))
        own, optimizer = made
        optimizer.zero_grad()
        loss(own(x)).backward()
        optimizer.step()

    return step


def both_ways(layer: nn.Module, replace: Replace, x: Tensor, gradient: Tensor) -> Step:
    """Forward and backward of a layer."""
    made: list[nn.Module] = []

    def step() -> None:
        if not made:
            made.append(replaced(layer, replace).train())
        made[0].zero_grad()
        made[0](x).backward(gradient)

    return step


def comparisons(rounds: int) -> list[Comparison]:
    """Run everything."""
    torch.manual_seed(0)
    labels = torch.randint(0, 10, (128,))

    def classify(y: Tensor) -> Tensor:
        return F.cross_entropy(y, labels[: len(y)])

    problems = {
        "MLP 784-512-512-10, batch 128": (mlp(), torch.randn(128, 784), classify),
        "CNN with batch norm": (cnn(), torch.randn(32, 3, 32, 32), classify),
        "BERT-mini layer": (Encoder(), torch.randn(8, 128, 256), lambda y: y.square().mean()),
    }
    found: list[Comparison] = []
    for title, (model, x, loss) in problems.items():
        targets = {n: TARGETS[title] for n in CONTENDERS if n.startswith("mase") and "mx" not in n}
        comparison = Comparison(title, "float", targets=targets)
        comparison.run({n: training(model, r, x, loss) for n, r in CONTENDERS.items()}, rounds)
        found.append(comparison)
    targets = {n: LAYER_TARGET for n in CONTENDERS if n.startswith("mase") and "mx" not in n}
    comparison = Comparison(LAYER, "float", targets=targets)
    x, gradient = torch.randn(128, 768, requires_grad=True), torch.randn(128, 3072)
    layer = nn.Linear(768, 3072)
    comparison.run({n: both_ways(layer, r, x, gradient) for n, r in CONTENDERS.items()}, rounds)
    return [*found, comparison]


def main() -> None:
    """Print the tables; write JSON and the plot if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(args.threads)
    print(f"torch {torch.__version__}, {args.threads} thread(s), kernels: {native.status()}")
    report(comparisons(args.rounds), args.json, args.plot)


if __name__ == "__main__":
    main()

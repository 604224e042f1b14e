"""Fake quantization of 16M float32, forward and backward, beside ATen, torch.ao, torchao and Brevitas.

    python benchmarks/fake_quant.py [--rows 4096] [--rounds 7] [--threads 1] [--json J] [--plot PNG]

All run in turns in one process. Times are told as multiples of two copies of the data (`clone`, a fresh
tensor each, as every contender makes). What cannot be imported or refuses to run is skipped, and named.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from side_by_side import Comparison, Step, report
from torch import Tensor, nn

from mase.ir import parse_format
from mase.runtime import native
from mase.runtime.kernels import fake_quantize, kernel_of

Quantizer = Callable[[Tensor], Tensor]
CHANNELS_TARGET = {"mase fixed<8,4>": 2.0, "mase int<8>": 2.0, "mase int<8,channel=0>": 2.0}
FLOAT_TARGET = dict.fromkeys((f"mase {t}" for t in ("float<4,3>", "fp8_e4m3fn")), 4.0)
MX_TARGET = dict.fromkeys((f"mase {t}" for t in ("mxint<8,32>", "mxfp8_e4m3<32>", "mxfp4<32>")), 4.0)


class Straight(torch.autograd.Function):
    """Any rounding with the straight-through gradient, for peers that quantize tensors but do not train."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, quantize: Quantizer) -> Tensor:
        return quantize(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def lazily(make: Callable[[], Quantizer]) -> Quantizer:
    """A quantizer that is made at its first call, so that one that cannot be made is skipped."""
    made: list[Quantizer] = []

    def quantizer(x: Tensor) -> Tensor:
        if not made:
            made.append(make())
        return made[0](x)

    return quantizer


def mase(*texts: str) -> dict[str, Quantizer]:
    """Our kernels."""
    return {f"mase {text}": lambda x, text=text: fake_quantize(x, text) for text in texts}


def reference(text: str) -> dict[str, Quantizer]:
    """Our reference in pure torch, which the native kernels are bit-equal to."""
    format = parse_format(text)

    def make() -> Quantizer:
        kernel = kernel_of(format)

        class Reference(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, x: Tensor) -> Tensor:
                ctx.save_for_backward(x)
                return kernel.quantize(x, format)

            @staticmethod
            def backward(ctx: Any, *gradients: Tensor) -> Tensor:
                return kernel.pass_gradient(gradients[0], *ctx.saved_tensors, format)

        return Reference.apply

    return {f"mase {text}, without C": lazily(make)}


def aten(rows: int) -> tuple[dict[str, Quantizer], dict[str, Quantizer]]:
    """ATen's own ops with a constant scale: per tensor and per channel."""
    scales, zeros = torch.full((rows,), 1 / 16), torch.zeros(rows, dtype=torch.int32)
    tensor = {"ATen": lambda x: torch.fake_quantize_per_tensor_affine(x, 1 / 16, 0, -128, 127)}
    channel = {"ATen": lambda x: torch.fake_quantize_per_channel_affine(x, scales, zeros, 0, -128, 127)}
    return tensor, channel


def torch_ao(channel: bool) -> dict[str, Quantizer]:
    """torch.ao's modules with their observers running."""

    def make(fused: bool) -> Quantizer:
        from torch.ao import quantization as ao

        fused_name = "default_fused_per_channel_wt_fake_quant" if channel else "default_fused_act_fake_quant"
        plain_name = "default_per_channel_weight_fake_quant" if channel else "default_fake_quant"
        return getattr(ao, fused_name if fused else plain_name)()

    return {
        "torch.ao fused, observing": lazily(lambda: make(True)),
        "torch.ao, observing": lazily(lambda: make(False)),
    }


def torchao(dtype: str, granularity: str, **options: Any) -> dict[str, Quantizer]:
    """torchao's quantization-aware training, whose scales come from the data."""

    def make() -> Quantizer:
        from torchao.quantization.qat import IntxFakeQuantizeConfig, IntxFakeQuantizer

        kind: Any = getattr(torch, dtype)
        return IntxFakeQuantizer(IntxFakeQuantizeConfig(kind, granularity, **options))

    return {f"torchao {dtype} {granularity}": lazily(make)}


def torchao_float8() -> dict[str, Quantizer]:
    def make() -> Quantizer:
        from torchao.quantization import PerTensor
        from torchao.quantization.qat import Float8FakeQuantizeConfig, Float8FakeQuantizer

        return Float8FakeQuantizer(Float8FakeQuantizeConfig(torch.float8_e4m3fn, PerTensor()))

    return {"torchao float8_e4m3fn": lazily(make)}


def torchao_mx(name: str, element: str) -> dict[str, Quantizer]:
    def make() -> Quantizer:
        from torchao.prototype.mx_formats.mx_tensor import MXTensor

        kind: Any = getattr(torch, element)
        both = lambda x: MXTensor.to_mx(x, kind, 32).dequantize(torch.float32)  # noqa: E731
        return lambda x: Straight.apply(x, both)

    return {f"torchao {name}": lazily(make)}


def brevitas(module: str, name: str) -> dict[str, Quantizer]:
    """Brevitas' activation quantizers with their scales collected beforehand, or taken from the data."""

    def make() -> Quantizer:
        from importlib import import_module

        import brevitas.nn as qnn

        quantizer = getattr(import_module(module), name)
        more: dict[str, Any] = {"group_dim": -1, "group_size": 32} if name.startswith("MX") else {}
        layer = qnn.QuantIdentity(act_quant=quantizer, return_quant_tensor=False, **more)
        return layer.train()

    return {f"Brevitas {name}": lazily(make)}


def brevitas_weight(name: str, rows: int) -> dict[str, Quantizer]:
    def make() -> Quantizer:
        import brevitas.nn as qnn
        from brevitas import quant

        layer = qnn.QuantLinear(rows, rows, bias=False, weight_quant=getattr(quant, name))

        def quantize(x: Tensor) -> Tensor:
            if layer.weight is not x:
                layer.weight = x
            return layer.quant_weight().value

        return quantize

    return {f"Brevitas {name}": lazily(make)}


def comparisons(rows: int, rounds: int) -> list[Comparison]:
    """Run everything."""
    torch.manual_seed(0)
    # About 1 % of these lie outside of fixed<8,4>.
    x = nn.Parameter(torch.randn(rows, rows) * 3)
    gradient = torch.randn(rows, rows)
    data = x.detach()

    def step(quantize: Quantizer) -> Step:
        return lambda: torch.autograd.grad(quantize(x), x, gradient)

    aten_tensor, aten_channel = aten(rows)
    panels = {
        "int8 per tensor": (
            mase("fixed<8,4>", "int<8>") | reference("fixed<8,4>") | aten_tensor | torch_ao(channel=False)
            | torchao("int8", "per_token", is_symmetric=False)
            | brevitas("brevitas.quant", "Int8ActPerTensorFloat"),
            CHANNELS_TARGET,
        ),
        "int8 per channel": (
            mase("int<8,channel=0>") | reference("int<8,channel=0>") | aten_channel | torch_ao(channel=True)
            | torchao("int8", "per_channel")
            | brevitas_weight("Int8WeightPerChannelFloat", rows),
            CHANNELS_TARGET,
        ),
        "int4 in groups of 32": (
            mase("int<4,group=32>") | torchao("int4", "per_group", group_size=32),
            {"mase int<4,group=32>": 4.0},
        ),
        "small floats": (
            mase("float<4,3>", "fp8_e4m3fn") | reference("float<4,3>") | torchao_float8()
            | brevitas("brevitas.quant", "Fp8e4m3OCPActPerTensorFloat"),
            FLOAT_TARGET,
        ),
        "blocks": (
            mase("mxint<8,32>", "mxfp8_e4m3<32>", "mxfp4<32>", "bfp<8,8,16>") | reference("mxfp8_e4m3<32>")
            | torchao_mx("mxfp8_e4m3", "float8_e4m3fn") | torchao_mx("mxfp4", "float4_e2m1fn_x2")
            | brevitas("brevitas.quant.mx_quant_ocp", "MXInt8Act")
            | brevitas("brevitas.quant.mx_quant_ocp", "MXFloat8e4m3Act"),
            MX_TARGET,
        ),
    }  # fmt: skip
    found: list[Comparison] = []
    for title, (quantizers, targets) in panels.items():
        comparison = Comparison(title, "copy", 2.0, targets)
        ready = torch.empty_like(data)
        steps: dict[str, Step] = {"copy": data.clone, "copy to ready memory": lambda r=ready: r.copy_(data)}
        comparison.run(steps | {name: step(q) for name, q in quantizers.items()}, rounds)
        found.append(comparison)
    return found


def main() -> None:
    """Print the tables; write JSON and the plot if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=4096, help="of a square matrix")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(args.threads)
    print(f"torch {torch.__version__}, {args.threads} thread(s), kernels: {native.status()}")
    report(comparisons(args.rows, args.rounds), args.json, args.plot)


if __name__ == "__main__":
    main()

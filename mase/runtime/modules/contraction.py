"""Layers that contract their input with a weight: linear and convolutions."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mase.ir import Fixed
from mase.ir.formats import Integer
from mase.ir.ops import conv
from mase.ir.ops import nn as nn_ops
from mase.runtime.kernels import quantize
from mase.runtime.modules.base import QuantizedModule
from mase.runtime.modules.factory import arithmetic
from mase.runtime.modules.grid import Grid, align_bias, exact_type, require_exact, trusted
from mase.runtime.modules.scaled import bias_in_units, scales_of

__all__ = ["Contraction", "Convolution", "Linear", "TransposedConvolution"]


class Contraction(QuantizedModule):
    """``sum(data_in * weight) + bias``, the bias aligned to the products.

    A bias with more fractional bits than the products have is rounded to theirs, half to even.
    """

    outputs_first: ClassVar[bool] = True
    """Whether dimension 0 of the weight is that of the outputs."""
    weight: Tensor
    bias: Tensor | None
    _cached: tuple[object, torch.dtype] | None = None

    @abstractmethod
    def contract(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The float op on ready operands."""

    def rows(self, weight: Tensor) -> Tensor:
        """The weight as ``[outputs, terms]``."""
        return weight.flatten(1)

    def terms(self) -> int:
        """How many products each output sums."""
        return math.prod(self.weight.shape[1:])

    def forward(self, input: Tensor) -> Tensor:
        """The layer's result for an input shaped as for the float layer."""
        operands = {"data_in": input, "weight": self.weight, "bias": self.bias}
        return self.evaluate(self._exact(input), self._compute, operands)

    def _compute(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if bias is not None:
            bias = align_bias(bias, *(self.grid(role) for role in self.formats))
        scales = scales_of(self, self.weight) if self._adds_in_units() else None
        if scales is not None and (self.outputs_first or not scales[1].dim()):
            return self._rescaled(x, weight, bias, *scales)
        return self.contract(x, weight, bias)

    def _adds_in_units(self) -> bool:
        """Whether a bias is whole numbers of the accumulator's unit, as integer layers of ONNX add it too."""
        x, weight, bias = (self.formats[role] for role in ("data_in", "weight", "bias"))
        if self.requant == "dyadic" or self.bias is None or isinstance(bias, Integer):
            return self.requant == "dyadic"
        return isinstance(weight, Integer) or (bias is not None and isinstance(x, Integer))

    def _rescaled(self, x: Tensor, weight: Tensor, bias: Tensor | None, own: Tensor, by: Tensor) -> Tensor:
        """With a bias in units of the accumulator, and in eval mode the sum of codes times that unit."""
        unit = own * by
        if not self.precise:
            return self.contract(x, weight, None if bias is None else bias_in_units(bias, unit))
        rows = by.view(-1, *(1,) * (weight.dim() - 1)) if by.dim() else by
        codes = None if bias is None else (bias / unit).round()
        sums = self.contract((x / own).round(), (weight / rows).round(), codes)
        return sums * (unit.view(-1, *(1,) * self.spatial()) if by.dim() else unit)

    def spatial(self) -> int:
        """How many dimensions follow that of the channels in a result."""
        return self.weight.dim() - 2

    # -- exactness --------------------------------------------------------------------------

    def _exact(self, input: Tensor) -> torch.dtype | None:
        """The type that computes the layer exactly; None in training or where operands are float."""
        x, weight, bias = (self.grid(role) for role in self.formats)
        if self.training or x is None or weight is None or (self.bias is not None and bias is None):
            return None
        products = x.times(weight).sum_of(self.terms())
        bias = bias.rounded(products.frac) if bias and self.bias is not None else Grid(products.frac, 0)
        by_format = exact_type(x, weight, bias, products.plus(bias))
        if by_format is torch.float32 or not _known(self.weight):
            return trusted(by_format or torch.float64, input.device)
        return trusted(self._by_weights(x), input.device)

    def _by_weights(self, x: Grid) -> torch.dtype:
        """The type by the real weights, which is found once for each version of them."""
        version = (_version(self.weight), _version(self.bias), *self.formats.values())
        if self._cached is None or self._cached[0] != version:
            self._cached = (version, self._measured(x))
        return self._cached[1]

    @torch.no_grad()
    def _measured(self, x: Grid) -> torch.dtype:
        codes, frac = _codes(self.weight, self.formats["weight"])
        rows = self.rows(codes.abs())
        products = Grid(x.frac + frac, x.bound * _largest(rows.sum(1)))
        weight, bias = Grid(frac, _largest(rows)), Grid(products.frac, 0)
        if self.bias is not None:
            codes, own = _codes(self.bias, self.formats["bias"])
            bias = Grid(own, _largest(codes.abs())).rounded(products.frac)
        return require_exact(self.op_class.name, x, weight, bias, products.plus(bias))

    def train(self, mode: bool = True) -> Any:
        """Switch as any module does, and look at the weights anew."""
        self._cached = None
        return super().train(mode)


def _codes(tensor: Tensor, format: Any) -> tuple[Tensor, int]:
    """The integer codes of a quantized parameter as float64, and their fractional bits."""
    fixed = cast(Fixed, format)
    return quantize(tensor.detach().double(), fixed).mul_(2.0**fixed.frac), fixed.frac


def _largest(codes: Tensor) -> int:
    return int(codes.max()) if codes.numel() else 0


def _known(tensor: Tensor) -> bool:
    """Whether a tensor has values to look at, as those of a trace have not."""
    return type(tensor) in (Tensor, nn.Parameter) and not tensor.is_meta and not torch.compiler.is_compiling()


def _version(tensor: Tensor | None) -> tuple[int, int]:
    if tensor is None or tensor.is_inference():
        return 0, 0
    return tensor._version, tensor.data_ptr()


@arithmetic(nn_ops.Linear, nn.Linear)
class Linear(Contraction):
    """``data_in @ weight.T + bias``."""

    def contract(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.linear(x, weight, bias)


@arithmetic(conv.Conv1d, nn.Conv1d)
@arithmetic(conv.Conv2d, nn.Conv2d)
@arithmetic(conv.Conv3d, nn.Conv3d)
class Convolution(Contraction):
    """Cross-correlation over any number of spatial dimensions."""

    _conv_forward: Any

    def contract(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return self._conv_forward(x, weight, bias)

    def op_attributes(self) -> dict[str, Any]:
        own = cast(Any, self)
        flat = [int(p) for p in own._reversed_padding_repeated_twice]
        pairs = tuple(zip(flat[::2], flat[1::2], strict=True))[::-1]
        return {
            "stride": tuple(own.stride),
            "padding": pairs,
            "dilation": tuple(own.dilation),
            "groups": own.groups,
            "padding_mode": "zeros" if own.padding_mode == "constant" else own.padding_mode,
        }


@arithmetic(conv.ConvTranspose1d, nn.ConvTranspose1d)
@arithmetic(conv.ConvTranspose2d, nn.ConvTranspose2d)
@arithmetic(conv.ConvTranspose3d, nn.ConvTranspose3d)
class TransposedConvolution(Contraction):
    """The gradient of a convolution as a layer."""

    outputs_first = False

    def contract(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        own = cast(Any, self)
        functions = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)
        function = functions[weight.dim() - 3]
        return function(
            x, weight, bias, own.stride, own.padding, own.output_padding, own.groups, own.dilation
        )

    def rows(self, weight: Tensor) -> Tensor:
        """Every output channel sees the input channels of its group (``[in, out/groups, *kernel]``)."""
        groups = cast(Any, self).groups
        inputs, outputs = weight.shape[:2]
        split = weight.reshape(groups, inputs // groups, outputs, math.prod(weight.shape[2:]))
        return split.transpose(1, 2).reshape(groups * outputs, -1)

    def terms(self) -> int:
        inputs, _, *kernel = self.weight.shape
        return inputs // cast(Any, self).groups * math.prod(kernel)

    def op_attributes(self) -> dict[str, Any]:
        own = cast(Any, self)
        names = ("stride", "padding", "output_padding", "dilation")
        return {n: tuple(getattr(own, n)) for n in names} | {"groups": own.groups}

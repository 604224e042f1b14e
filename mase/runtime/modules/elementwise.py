"""Arithmetic of two operands, functions of one, max-pools; and the embedding."""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mase.ir.ops import nn as nn_ops
from mase.ir.ops import pool, tensor
from mase.runtime.modules.base import QuantizedModule
from mase.runtime.modules.factory import arithmetic
from mase.runtime.modules.grid import Grid, require_exact, trusted
from mase.runtime.modules.scaled import in_codes, sum_of_codes

__all__ = ["Add", "Binary", "Div", "Embedding", "MatMul", "Mul", "Sub", "Unary", "as_tuple", "spatial_rank"]


class Binary(QuantizedModule):
    """A function of two operands, ``data_in`` and ``other``, which broadcast."""

    @abstractmethod
    def compute(self, x: Tensor, y: Tensor) -> Tensor:
        """The float op on ready operands."""

    def result_grid(self, x: Grid, y: Grid, data_in: Tensor) -> Grid:
        """The numbers that the result may be."""
        return x.plus(y)

    def forward(self, data_in: Tensor, other: Tensor) -> Tensor:
        """The result for two tensors that broadcast."""
        operands = {"data_in": data_in, "other": other}
        return self.evaluate(self._exact(data_in), self.compute, operands)

    def _exact(self, data_in: Tensor) -> torch.dtype | None:
        x, y = self.grid("data_in"), self.grid("other")
        if self.training or x is None or y is None:
            return None
        return require_exact(self.op_class.name, x, y, self.result_grid(x, y, data_in))


@arithmetic(tensor.Add)
class Add(Binary):
    """``data_in + other``."""

    def compute(self, x: Tensor, y: Tensor) -> Tensor:
        aligned = sum_of_codes(self, x, y, 1) if self.precise else None
        return x + y if aligned is None else aligned


@arithmetic(tensor.Sub)
class Sub(Binary):
    """``data_in - other``."""

    def compute(self, x: Tensor, y: Tensor) -> Tensor:
        aligned = sum_of_codes(self, x, y, -1) if self.precise else None
        return x - y if aligned is None else aligned


@arithmetic(tensor.Mul)
class Mul(Binary):
    """``data_in * other``."""

    def compute(self, x: Tensor, y: Tensor) -> Tensor:
        return in_codes(self, x, y, torch.mul)

    def result_grid(self, x: Grid, y: Grid, data_in: Tensor) -> Grid:
        return x.times(y)


@arithmetic(tensor.Div)
class Div(Binary):
    """``data_in / other``: of operands in fixed point the correctly rounded quotient in floats."""

    def compute(self, x: Tensor, y: Tensor) -> Tensor:
        return x / y

    def result_grid(self, x: Grid, y: Grid, data_in: Tensor) -> Grid:
        return x  # a quotient is rounded, on no grid


@arithmetic(tensor.MatMul)
class MatMul(Binary):
    """``data_in @ other`` over the last two dimensions."""

    def compute(self, x: Tensor, y: Tensor) -> Tensor:
        return in_codes(self, x, y, torch.matmul)

    def result_grid(self, x: Grid, y: Grid, data_in: Tensor) -> Grid:
        return x.times(y).sum_of(data_in.shape[-1])

    def _exact(self, data_in: Tensor) -> torch.dtype | None:
        dtype = super()._exact(data_in)
        return dtype and trusted(dtype, data_in.device)


class Unary(QuantizedModule):
    """A function of one operand that gives nothing but values of its operand, unless it is not ``exact``."""

    exact: ClassVar[bool] = True

    def compute(self, x: Tensor) -> Tensor:
        """The float op on the ready operand: by default that of the torch module it is made from."""
        return super().forward(x)

    def forward(self, input: Tensor) -> Tensor:
        """The result for one tensor."""
        x = self.grid("data_in") if self.exact else None
        exact = None if self.training or x is None else require_exact(self.op_class.name, x)
        return self.evaluate(exact, self.compute, {"data_in": input})


@arithmetic(pool.MaxPool1d, nn.MaxPool1d)
@arithmetic(pool.MaxPool2d, nn.MaxPool2d)
class MaxPool(Unary):
    """The largest element of each window."""

    def op_attributes(self) -> dict[str, Any]:
        own: Any = self
        rank = spatial_rank(self)
        sizes = {n: as_tuple(getattr(own, n), rank) for n in ("stride", "padding", "dilation")}
        return {"kernel": as_tuple(own.kernel_size, rank), **sizes, "ceil_mode": own.ceil_mode}


@arithmetic(pool.AdaptiveMaxPool1d, nn.AdaptiveMaxPool1d)
@arithmetic(pool.AdaptiveMaxPool2d, nn.AdaptiveMaxPool2d)
class AdaptiveMaxPool(Unary):
    """The largest element of each of as many windows as asked."""

    def op_attributes(self) -> dict[str, Any]:
        own: Any = self
        return {"output_size": as_tuple(own.output_size, spatial_rank(self))}


@arithmetic(nn_ops.Embedding, nn.Embedding)
class Embedding(QuantizedModule):
    """Rows of the quantized weight; only those that are looked up are quantized, if they share no scale."""

    weight: Tensor

    def forward(self, input: Tensor) -> Tensor:
        """The rows ``[..., dim]`` for indices ``[...]``."""
        format = self.formats["weight"]
        if format is not None and format.reach != "value":
            if cast(Any, self).max_norm is not None:
                super().forward(input)  # which shortens the rows in place
            return self.evaluate(None, partial(self._rows, input), {"weight": self.weight})
        rows = super().forward(input)
        grid = self.grid("weight")
        exact = None if self.training or grid is None else require_exact(self.op_class.name, grid)
        return self.evaluate(exact, _as_it_is, {"weight": rows})

    def _rows(self, input: Tensor, weight: Tensor) -> Tensor:
        own = cast(Any, self)
        return F.embedding(input, weight, own.padding_idx, scale_grad_by_freq=own.scale_grad_by_freq)


def _as_it_is(x: Tensor) -> Tensor:
    return x


def as_tuple(value: Any, rank: int) -> tuple[Any, ...]:
    """A size for each spatial dimension, given one for all or one each."""
    return tuple(cast("list[Any]", value)) if isinstance(value, tuple | list) else (value,) * rank


def spatial_rank(module: QuantizedModule) -> int:
    """The number of spatial dimensions of a pool."""
    return cast(Any, module.op_class.base).spatial

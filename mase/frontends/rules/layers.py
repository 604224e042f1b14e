"""Linear layers, embeddings and dropout."""

from __future__ import annotations

from typing import Literal

from torch import nn

from mase.frontends.rules.base import CallSite, Unit, from_call, from_module, is_tensor
from mase.ir import ops
from mase.ir.op import Op

__all__: list[str] = []

_F = "torch.nn.functional"


@from_module.register(nn.Linear)
def _linear(module: nn.Linear) -> Op:
    return ops.nn.Linear()


@from_call.register("aten.linear.default", "torch._C._nn.linear", f"{_F}.linear")
def _linear_call(site: CallSite, input: object, weight: object, bias: object = None) -> Unit | None:
    roles = site.roles(weight=weight, bias=bias)
    return Unit(ops.nn.Linear(), (input,), roles) if is_tensor(input) and roles else None


@from_module.register(nn.Embedding)
def _embedding(module: nn.Embedding) -> Op:
    return ops.nn.Embedding(
        padding_idx=module.padding_idx,
        max_norm=module.max_norm,
        norm_type=float(module.norm_type),
        scale_grad_by_freq=module.scale_grad_by_freq,
        sparse=module.sparse,
    )


@from_call.register("aten.embedding.default")
def _embedding_call(
    site: CallSite,
    weight: object,
    indices: object,
    padding_idx: int = -1,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Unit | None:
    roles = site.roles(weight=weight)
    if not is_tensor(indices) or not roles:
        return None
    op = ops.nn.Embedding(
        padding_idx=None if padding_idx < 0 else padding_idx,
        scale_grad_by_freq=scale_grad_by_freq,
        sparse=sparse,
    )
    return Unit(op, (indices,), roles)


_DROPOUT_DIMS: dict[type[nn.Module], Literal[0, 1, 2, 3]] = {
    nn.Dropout: 0,
    nn.Dropout1d: 1,
    nn.Dropout2d: 2,
    nn.Dropout3d: 3,
}


@from_module.register(*_DROPOUT_DIMS)
def _dropout(module: nn.Dropout) -> Op:
    dims: Literal[0, 1, 2, 3] = next(dims for cls, dims in _DROPOUT_DIMS.items() if isinstance(module, cls))
    return ops.nn.Dropout(p=float(module.p), dims=dims)


@from_call.register("aten.dropout.default", "torch.dropout")
def _dropout_call(site: CallSite, input: object, p: float, train: bool) -> Unit | None:
    # A call that does not follow the mode (it drops in eval too) is not the op, which does.
    if not is_tensor(input) or train != (site.mode == "train"):
        return None
    return Unit(ops.nn.Dropout(p=float(p)), (input,))


@from_call.register(f"{_F}.dropout")
def _functional_dropout(
    site: CallSite, input: object, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Unit | None:
    return _dropout_call(site, input, p, training)

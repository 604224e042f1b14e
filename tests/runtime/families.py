"""Every op that can be quantized, on small operands, and one format of every family."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from mase.ir import Graph, Node, Op, TensorType, parse_format
from mase.ir.formats import F32, I64
from mase.ir.ops import attention, conv, core, nn, norm, pool, tensor
from mase.runtime.kernels import quantize

FORMATS = {
    "integer": "fixed<8,5>",
    "scale_integer": "int<8>",
    "minifloat_ieee": "float<4,3>",
    "minifloat_denorm": "denorm<8,4>",
    "log": "log<8>",
    "block_fp": "bfp<8,8,4>",
    "block_minifloat": "bminifloat<8,4,8,4>",
    "block_log": "blog<8,8,4>",
    "mxint": "mxint<8,4>",
    "mxfp": "mxfp8_e4m3<4>",
    "nvfp4": "nvfp4<4>",
    "binary": "binary<scaled>",
    "ternary": "ternary<scaled>",
}

Rows = Callable[[Tensor, Callable[[Tensor], Tensor]], Tensor]
"""How a tensor is quantized along the dimensions that the op sums over."""


def over(*dims: int) -> Rows:
    """Along some dimensions as one, the first outermost."""

    def apply(x: Tensor, q: Callable[[Tensor], Tensor]) -> Tensor:
        rest = [d for d in range(x.dim()) if d not in [e % x.dim() for e in dims]]
        order = rest + [e % x.dim() for e in dims]
        moved = x.permute(order)
        back = [order.index(d) for d in range(x.dim())]
        return q(moved.flatten(len(rest))).view_as(moved).permute(back)

    return apply


def last(x: Tensor, q: Callable[[Tensor], Tensor]) -> Tensor:
    """Along the last dimension."""
    return q(x)


def each_group(x: Tensor, q: Callable[[Tensor], Tensor]) -> Tensor:
    """A transposed convolution's weight of two groups: each output's inputs, which are its group's."""
    rows = torch.cat([part.transpose(0, 1).flatten(1) for part in x.chunk(2)])
    shape = (x.shape[1], x.shape[0] // 2, *x.shape[2:])
    return torch.cat([part.view(shape).transpose(0, 1) for part in q(rows).chunk(2)])


@dataclass(frozen=True)
class Case:
    """An op with the shapes of its operands and weights."""

    op: Op
    shapes: tuple[tuple[int, ...], ...]
    params: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    rows: Mapping[str, Rows] = field(default_factory=dict)
    exact: bool = True
    """Whether the integer family computes it exactly."""


CHANNELS = over(1)
LAYER = {"data_in": CHANNELS}
IMAGE, LINE, VOLUME, ROWS = (2, 6, 5, 4), (2, 6, 7), (2, 6, 3, 4, 3), (3, 5, 6)
HEADS = (2, 2, 5, 8)
CASES: dict[str, Case] = {
    "linear": Case(nn.Linear(), (ROWS,), {"weight": (4, 6), "bias": (4,)}),
    "conv1d": Case(
        conv.Conv1d(groups=2), (LINE,), {"weight": (4, 3, 3), "bias": (4,)}, LAYER | {"weight": over(1, 2)}
    ),
    "conv2d": Case(
        conv.Conv2d(stride=(2, 1), padding=((1, 1), (0, 0))),
        (IMAGE,),
        {"weight": (4, 6, 3, 2), "bias": (4,)},
        LAYER | {"weight": over(1, 2, 3)},
    ),
    "conv3d": Case(
        conv.Conv3d(),
        (VOLUME,),
        {"weight": (4, 6, 2, 2, 2), "bias": (4,)},
        LAYER | {"weight": over(1, 2, 3, 4)},
    ),
    "conv_transpose1d": Case(
        conv.ConvTranspose1d(), (LINE,), {"weight": (6, 4, 3), "bias": (4,)}, LAYER | {"weight": over(0, 2)}
    ),
    "conv_transpose2d": Case(
        conv.ConvTranspose2d(groups=2), (IMAGE,), {"weight": (6, 2, 2, 3)}, LAYER | {"weight": each_group}
    ),
    "conv_transpose3d": Case(
        conv.ConvTranspose3d(), (VOLUME,), {"weight": (6, 2, 2, 2, 2)}, LAYER | {"weight": over(0, 2, 3, 4)}
    ),
    "embedding": Case(nn.Embedding(), ((2, 3),), {"weight": (9, 6)}),
    "matmul": Case(tensor.MatMul(), (ROWS, (6, 4)), rows={"other": over(-2)}),
    "attention": Case(attention.Attention(), (HEADS,) * 3, rows={"value": over(-2)}, exact=False),
    "rotary_embedding": Case(attention.RotaryEmbedding(), (HEADS, (5, 8), (5, 8))),
    "kv_cache": Case(attention.KVCache(), ((2, 2, 3, 8), HEADS)),
    "add": Case(tensor.Add(), (ROWS, (5, 6))),
    "sub": Case(tensor.Sub(), (ROWS, (5, 6))),
    "mul": Case(tensor.Mul(), (ROWS, (5, 6))),
    "div": Case(tensor.Div(), (ROWS, (5, 6))),
    "mean": Case(tensor.Mean(dims=(1, 2)), (IMAGE,), rows={"data_in": over(1, 2)}, exact=False),
    "concat": Case(tensor.Concat(dim=1), (ROWS, (3, 2, 6), ROWS)),
    "layer_norm": Case(
        norm.LayerNorm(normalized_shape=(6,)), (ROWS,), {"weight": (6,), "bias": (6,)}, exact=False
    ),
    "rms_norm": Case(norm.RmsNorm(normalized_shape=(6,)), (ROWS,), {"weight": (6,)}, exact=False),
    "group_norm": Case(
        norm.GroupNorm(num_groups=2), (IMAGE,), {"weight": (6,), "bias": (6,)}, LAYER, exact=False
    ),
    "instance_norm": Case(
        norm.InstanceNorm(spatial=2), (IMAGE,), {"weight": (6,), "bias": (6,)}, LAYER, exact=False
    ),
    "batch_norm": Case(
        norm.BatchNorm(),
        (IMAGE,),
        {"weight": (6,), "bias": (6,), "running_mean": (6,), "running_var": (6,)},
        LAYER,
    ),
    "softmax": Case(nn.Softmax(dim=1), (ROWS,), rows=LAYER, exact=False),
    "log_softmax": Case(nn.LogSoftmax(dim=1), (ROWS,), rows=LAYER, exact=False),
    "relu": Case(nn.Relu(), (ROWS,)),
    "max_pool1d": Case(pool.MaxPool1d(kernel=(2,), stride=(2,)), (LINE,), rows=LAYER),
    "max_pool2d": Case(pool.MaxPool2d(kernel=(2, 2), stride=(1, 2)), (IMAGE,), rows=LAYER),
    "avg_pool1d": Case(pool.AvgPool1d(kernel=(3,), stride=(2,)), (LINE,), rows=LAYER, exact=False),
    "avg_pool2d": Case(pool.AvgPool2d(kernel=(2, 3), stride=(1, 1)), (IMAGE,), rows=LAYER, exact=False),
    "adaptive_avg_pool1d": Case(pool.AdaptiveAvgPool1d(output_size=(3,)), (LINE,), rows=LAYER, exact=False),
    "adaptive_avg_pool2d": Case(
        pool.AdaptiveAvgPool2d(output_size=(1, 2)), (IMAGE,), rows=LAYER, exact=False
    ),
    "adaptive_max_pool1d": Case(pool.AdaptiveMaxPool1d(output_size=(3,)), (LINE,), rows=LAYER),
    "adaptive_max_pool2d": Case(pool.AdaptiveMaxPool2d(output_size=(1, 2)), (IMAGE,), rows=LAYER),
}
_ACTIVATIONS = (
    *(nn.Relu6(), nn.LeakyRelu(negative_slope=0.2), nn.Elu(), nn.Selu(), nn.Hardtanh(), nn.Hardsigmoid()),
    *(nn.Hardswish(), nn.Gelu(approximate="tanh"), nn.Silu(), nn.Tanh(), nn.Sigmoid(), nn.Softsign()),
    nn.Softplus(beta=2.0),
)
CASES |= {op.name.partition(".")[2]: Case(op, (ROWS,), exact=False) for op in _ACTIVATIONS}


def operands(case: Case, seed: int = 0) -> tuple[Tensor, ...]:
    """Random operands of a case; indices for an embedding."""
    generator = torch.Generator().manual_seed(seed)
    if isinstance(case.op, nn.Embedding):
        return (torch.randint(9, case.shapes[0], generator=generator),)
    made = [torch.randn(shape, generator=generator) + 0.1 for shape in case.shapes]
    if isinstance(case.op, tensor.Div):
        made[1] = torch.rand(case.shapes[1], generator=generator) * 0.4 + 0.8  # no format makes it 0
    return tuple(made)


def graph_of(case: Case, scope: str = "unit") -> Graph:
    """A graph of the op alone, with random weights, in float."""
    graph, generator = Graph(), torch.Generator().manual_seed(1)
    element = I64 if isinstance(case.op, nn.Embedding) else F32
    inputs: list[Node] = []
    for i, shape in enumerate(case.shapes):
        inputs.append(graph.add(core.Input(), type=TensorType(element, shape), name=f"x{i}"))
    for role, shape in case.params.items():
        kind: Any = "buffer" if role.startswith("running") else "parameter"
        graph.state.declare(f"{scope}.{role}", TensorType(F32, shape), kind)
        values = torch.randn(shape, generator=generator)
        graph.state[f"{scope}.{role}"] = values.abs() + 0.5 if kind == "buffer" else values
    params = {role: f"{scope}.{role}" for role in case.params}
    graph.outputs = [graph.add(case.op, *inputs, params=params, scope=scope, name="y")]
    return graph


def rounded(case: Case, role: str, x: Tensor, format: str) -> Tensor:
    """An operand or weight as its format rounds it, by hand."""
    parsed = parse_format(format)
    if not x.is_floating_point():
        return x
    result = case.rows.get(role, last)(x, lambda rows: quantize(rows, parsed))
    return result.contiguous() if x.is_contiguous() else result  # a sum depends on the layout

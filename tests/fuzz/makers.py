"""What random models are made of: for each rank makers, which draw the arguments of a module."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.fuzz.parts import Attention, Block, Do, Plus

__all__ = ["MAKERS", "Maker", "joining"]

Shape = tuple[int, ...]
Maker = Callable[[Random, Shape], nn.Module | None]
"""Draws a module for a value of a shape, the batch left out; None if it has none."""


# -- layers of images, lines, volumes ---------------------------------------------------------


def _sizes(rng: Random, rank: int, low: int, high: int) -> tuple[int, ...]:
    return tuple(rng.randint(low, high) for _ in range(rank))


def _conv(rng: Random, shape: Shape) -> nn.Module:
    rank, channels = len(shape) - 1, shape[0]
    groups = rng.choice([g for g in (1, 1, 1, 2, 3, channels) if channels % g == 0])
    mode = rng.choice(["zeros"] * 6 + ["reflect", "replicate", "circular"])
    padding: Any = _sizes(rng, rank, 0, 2) if rng.random() < 0.9 else "same"
    made = [nn.Conv1d, nn.Conv2d][rank - 1]
    return made(
        channels,
        groups * rng.randint(1, 4),
        _sizes(rng, rank, 1, 3),
        stride=1 if padding == "same" else _sizes(rng, rank, 1, 2),
        padding=padding,
        dilation=_sizes(rng, rank, 1, 2) if rng.random() < 0.3 else 1,
        groups=groups,
        bias=rng.random() < 0.7,
        padding_mode=mode,
    )


def _transposed(rng: Random, shape: Shape) -> nn.Module:
    rank, channels = len(shape) - 1, shape[0]
    groups = rng.choice([g for g in (1, 1, 2, channels) if channels % g == 0])
    stride = _sizes(rng, rank, 1, 3)
    made = [nn.ConvTranspose1d, nn.ConvTranspose2d][rank - 1]
    return made(
        channels,
        groups * rng.randint(1, 3),
        _sizes(rng, rank, 1, 3),
        stride=stride,
        padding=_sizes(rng, rank, 0, 1),
        output_padding=tuple(rng.randrange(s) for s in stride) if rng.random() < 0.3 else 0,
        groups=groups,
        bias=rng.random() < 0.7,
        dilation=rng.choice([1, 1, 2]),
    )


def _batch_norm(rng: Random, shape: Shape) -> nn.Module:
    made = {1: nn.BatchNorm1d, 2: nn.BatchNorm1d, 3: nn.BatchNorm2d}[len(shape)]
    return made(shape[0], affine=rng.random() < 0.8)


def _conv_norm_relu(rng: Random, shape: Shape) -> nn.Module:
    conv = _conv(rng, shape)
    norm = _batch_norm(rng, (int(conv.out_channels), *shape[1:]))  # type: ignore[arg-type]
    return nn.Sequential(conv, norm, nn.ReLU())


def _max_pool(rng: Random, shape: Shape) -> nn.Module:
    rank = len(shape) - 1
    kernel = _sizes(rng, rank, 1, 3)
    return [nn.MaxPool1d, nn.MaxPool2d][rank - 1](
        kernel,
        _sizes(rng, rank, 1, 3),
        padding=tuple(rng.randint(0, k // 2) for k in kernel),
        dilation=rng.choice([1, 1, 2]),
        ceil_mode=rng.random() < 0.3,
    )  # type: ignore[return-value]


def _avg_pool(rng: Random, shape: Shape) -> nn.Module:
    rank = len(shape) - 1
    kernel = _sizes(rng, rank, 1, 3)
    options: dict[str, Any] = {"ceil_mode": rng.random() < 0.3, "count_include_pad": rng.random() < 0.6}
    if rank == 2 and rng.random() < 0.1:
        options["divisor_override"] = rng.randint(1, 7)
    padding = tuple(rng.randint(0, k // 2) for k in kernel)
    return [nn.AvgPool1d, nn.AvgPool2d][rank - 1](kernel, _sizes(rng, rank, 1, 3), padding, **options)


def _adaptive(rng: Random, shape: Shape) -> nn.Module:
    rank = len(shape) - 1
    size: Any = rng.choice([1, 1, tuple(rng.randint(1, s) for s in shape[1:])])
    kinds = [(nn.AdaptiveAvgPool1d, nn.AdaptiveMaxPool1d), (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)]
    made = rng.choice(kinds[rank - 1])
    return made(size if rank > 1 or isinstance(size, int) else size[0])


def _mean(rng: Random, shape: Shape) -> nn.Module:
    dims = tuple(sorted(rng.sample(range(1, len(shape) + 1), rng.randint(1, len(shape)))))
    keep = rng.random() < 0.4
    return Do(f"mean({dims}, keepdim={keep})", lambda x: x.mean(dims, keepdim=keep))


# -- layers of rows and sequences -------------------------------------------------------------


def _linear(rng: Random, shape: Shape) -> nn.Module:
    return nn.Linear(shape[-1], rng.randint(1, 12), bias=rng.random() < 0.7)


def _norm(rng: Random, shape: Shape) -> nn.Module:
    size = shape[-1:] if rng.random() < 0.8 else shape[-2:]
    affine = rng.random() < 0.8
    if rng.random() < 0.4:
        return nn.RMSNorm(size, elementwise_affine=affine, eps=rng.choice([1e-6, 1e-5, 1e-2]))
    return nn.LayerNorm(size, elementwise_affine=affine, bias=rng.random() < 0.7)


def _block(rng: Random, shape: Shape) -> nn.Module | None:
    size = shape[-1]
    heads = rng.choice([h for h in (1, 2, 4) if size % h == 0])
    norm = rng.choice([nn.LayerNorm, nn.RMSNorm])
    return Block(size, heads, norm, rng.choice([nn.GELU, nn.SiLU, nn.ReLU])(), rng.random() < 0.5)


def _attention(rng: Random, shape: Shape) -> nn.Module:
    return Attention(shape[-1])


def _gram(rng: Random, shape: Shape) -> nn.Module:
    if rng.random() < 0.5:
        return Do("x @ x.mT", lambda x: x @ x.mT)
    return Do("x.mT @ x", lambda x: x.mT @ x)


# -- functions of one number ------------------------------------------------------------------

_FUNCTIONS: list[Callable[[], nn.Module]] = [
    nn.ReLU,
    nn.ReLU,
    nn.ReLU,
    nn.ReLU6,
    lambda: nn.LeakyReLU(0.125),
    lambda: nn.LeakyReLU(0.1),
    nn.Sigmoid,
    nn.Tanh,
    nn.GELU,
    lambda: nn.GELU(approximate="tanh"),
    nn.SiLU,
    nn.Hardswish,
    nn.Hardsigmoid,
    lambda: nn.Hardtanh(-0.7, 1.3),
    nn.ELU,
    nn.Softplus,
    nn.Identity,
    nn.Dropout,
]


def _function(rng: Random, shape: Shape) -> nn.Module:
    return rng.choice(_FUNCTIONS)()


def _softmax(rng: Random, shape: Shape) -> nn.Module:
    return nn.Softmax(rng.randint(1, len(shape)) if rng.random() < 0.3 else -1)


def _constant(rng: Random, shape: Shape) -> nn.Module:
    c = rng.choice([0.5, 2.0, -1.5, 0.3, 3.0])
    kinds: list[tuple[str, Callable[[Tensor], Tensor]]] = [
        (f"x + {c}", lambda x: x + c),
        (f"x * {c}", lambda x: x * c),
        (f"{c} - x", lambda x: c - x),
        (f"x / {c}", lambda x: x / c),
        ("-x", lambda x: -x),
    ]
    return Do(*rng.choice(kinds))


def _parameter(rng: Random, shape: Shape) -> nn.Module:
    own = shape if rng.random() < 0.4 else (shape[0], *(1 for _ in shape[1:]))
    if rng.random() < 0.5:
        return Plus("x + weight", own, torch.add)
    return Plus("x * weight", own, torch.mul)


# -- moves ------------------------------------------------------------------------------------


def _turn(rng: Random, shape: Shape) -> nn.Module:
    order = [0, *rng.sample(range(1, len(shape) + 1), len(shape))]
    return Do(f"permute({order})", lambda x: x.permute(order))


def _flatten(rng: Random, shape: Shape) -> nn.Module | None:
    if len(shape) == 1:
        return None
    start = rng.randint(1, len(shape) - 1)
    return nn.Flatten(start, rng.choice([-1, start + 1]))


def _unflatten(rng: Random, shape: Shape) -> nn.Module | None:
    at = rng.randrange(len(shape))
    parts = [n for n in range(2, shape[at]) if shape[at] % n == 0]
    if len(shape) > 2 or not parts:
        return None
    return nn.Unflatten(at + 1, (n := rng.choice(parts), shape[at] // n))


def _piece(rng: Random, shape: Shape) -> nn.Module:
    at = rng.randrange(len(shape))
    start, step = rng.randint(0, shape[at] // 2), rng.choice([1, 1, 2])
    index = (slice(None),) * (at + 1) + (slice(start, None, step),)
    return Do(f"x[dim {at + 1}: {start}::{step}]", lambda x: x[index])


def _halves(rng: Random, shape: Shape) -> nn.Module | None:
    at = rng.randrange(len(shape))
    if shape[at] % 2:
        return None
    kinds: list[tuple[str, Callable[[Tensor, Tensor], Tensor]]] = [
        ("a + b", torch.add),
        ("a * b", torch.mul),
        ("a * sigmoid(b)", lambda a, b: a * b.sigmoid()),
        ("concat(b, a)", lambda a, b: torch.cat([b, a], at + 1)),
        ("concat(a, relu(b))", lambda a, b: torch.cat([a, b.relu()], at + 1)),
    ]
    text, join = rng.choice(kinds)
    return Do(f"a, b = chunk(2, {at + 1}); {text}", lambda x: join(*x.chunk(2, at + 1)))


def _pad(rng: Random, shape: Shape) -> nn.Module:
    sizes = [rng.randint(0, 2) for _ in range(2 * min(len(shape), 2))]
    return Do(f"pad({sizes})", lambda x: F.pad(x, sizes))


def _other_move(rng: Random, shape: Shape) -> nn.Module:
    at = rng.randint(1, len(shape))
    kinds: list[tuple[str, Callable[[Tensor], Tensor]]] = [
        (f"roll(1, {at})", lambda x: x.roll(1, at)),
        (f"flip({at})", lambda x: x.flip(at)),
        (f"unsqueeze({at}).repeat(2)", lambda x: torch.stack([x, x], at).flatten(at, at + 1)),
        (f"stack(x, relu(x)).flatten({at})", lambda x: torch.stack([x, x.relu()], at).flatten(at, at + 1)),
        (f"repeat_interleave(2, {at})", lambda x: x.repeat_interleave(2, at)),
        (f"select({at}, 0)", lambda x: x.select(at, 0)),
        ("reshape(N, -1)", lambda x: x.reshape(x.shape[0], -1)),
        (f"amax({at})", lambda x: x.amax(at)),
        (f"sum({at})", lambda x: x.sum(at)),
    ]
    return Do(*rng.choice(kinds))


def joining(rng: Random, rank: int) -> nn.Module:
    """A module of two values of the same shape."""
    kinds: list[tuple[str, Callable[[Tensor, Tensor], Tensor]]] = [
        ("a + b", torch.add),
        ("a + b", torch.add),
        ("a - b", torch.sub),
        ("a * b", torch.mul),
        ("relu(a + b)", lambda a, b: torch.relu(a + b)),
        ("concat(a, b; 1)", lambda a, b: torch.cat([a, b], 1)),
        ("concat(a, b; -1)", lambda a, b: torch.cat([a, b], -1)),
        ("maximum(a, b)", torch.maximum),
    ]
    if rank > 2:  # else it would mix the samples of a batch
        kinds.append(("a @ b.mT", lambda a, b: a @ b.mT))
    return Do(*rng.choice(kinds))


_ANY: list[Maker] = [
    *[_function] * 4,
    _constant,
    _parameter,
    _softmax,
    _turn,
    _piece,
    _halves,
    _other_move,
    _mean,
]
_SPATIAL: list[Maker] = [
    *[_conv] * 5,
    *[_conv_norm_relu] * 2,
    _transposed,
    _batch_norm,
    _max_pool,
    _avg_pool,
    _adaptive,
    _pad,
]
_ROWS: list[Maker] = [*[_linear] * 5, _norm]
MAKERS: dict[int, list[Maker]] = {
    2: [*_ANY, *_ROWS, _batch_norm, _unflatten],
    3: [*_ANY, *_ROWS, *_SPATIAL, _norm, _block, _attention, _gram, _flatten],
    4: [*_ANY, *_SPATIAL, *_SPATIAL, _linear, _flatten, _flatten, _gram],
    5: [_flatten],
}
"""By the rank of the value, the batch included."""

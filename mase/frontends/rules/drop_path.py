"""Stochastic depth, which every library of models writes for itself: recognised by what it does."""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import product
from typing import Any, Literal

import torch
from torch import nn

from mase.ir.op import Op
from mase.ir.ops.drop_path import DropPath

__all__ = ["drop_path"]

_NAMES = ("drop_prob", "p")
_DRAWS: tuple[Literal["bernoulli", "floor"], ...] = ("bernoulli", "floor")
_SAMPLES, _SEEDS = 64, (0, 1, 2, 3)


def drop_path(module: nn.Module) -> Op | None:
    """The op of a module that drops samples in training, None if it does anything else.

    A module without weights and submodules that has a probability is run on a probe with fixed seeds,
    with its own probability and with one half; it is the op whose formula gives the same numbers.
    """
    name = next((n for n in _NAMES if isinstance(getattr(module, n, None), float)), None)
    if name is None or any(True for _ in (*module.children(), *module.parameters(), *module.buffers())):
        return None
    p = getattr(module, name)
    twin = copy.copy(module)
    setattr(twin, name, 0.5)
    for draw, whole, scaled in product(_DRAWS, (False, True), (True, False)):
        op = DropPath(p=p, whole=whole, scaled=scaled, draw=draw)
        if _agree(twin, replace(op, p=0.5)) and _agree(copy.copy(module), op):
            return op
    return None


def _agree(module: nn.Module, op: DropPath) -> bool:
    """Whether a module changes nothing in evaluation, and in training gives what the formula does."""
    probe = torch.linspace(1, 2, _SAMPLES * 4).reshape(_SAMPLES, 2, 2, 1)
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():  # pyright: ignore[reportUnknownMemberType]
            if module.eval()(probe) is not probe:
                return False
            return all(
                _equal(_seeded(seed, module.train(), probe), _formula(op, seed, probe)) for seed in _SEEDS
            )
    except Exception:  # noqa: BLE001 - a module of another kind, called as it is not meant to be
        return False


def _formula(op: DropPath, seed: int, x: torch.Tensor) -> torch.Tensor:
    keep = 1 - op.p
    shape = (1 if op.whole else len(x), *(1,) * (x.dim() - 1))
    if op.p == 0:
        return x
    torch.manual_seed(seed)  # pyright: ignore[reportUnknownMemberType]
    if op.draw == "floor":
        return (x.div(keep) if op.scaled else x) * (torch.rand(shape) + keep).floor()
    kept = x.new_empty(shape).bernoulli_(keep)
    return x * (kept / keep if op.scaled and keep else kept)


def _seeded(seed: int, module: nn.Module, probe: torch.Tensor) -> Any:
    torch.manual_seed(seed)  # pyright: ignore[reportUnknownMemberType]
    return module(probe.clone())


def _equal(a: Any, b: torch.Tensor) -> bool:
    return isinstance(a, torch.Tensor) and torch.equal(a, b)

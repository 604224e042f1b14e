"""Values of the buffers that a model on the meta device computes for itself and no file of weights holds."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from mase.frontends.internals import own_buffers, submodules, transient_buffers
from mase.ir.state import State

__all__ = ["fill_transient"]


def fill_transient(state: State, model: nn.Module) -> list[str]:
    """Give the state what a model's non-persistent buffers on the meta device would hold.

    The models of transformers compute them (the frequencies of rotary embeddings, positions) in
    ``_init_weights``, other modules in ``reset_parameters``; here that runs on a copy of the module that
    has room for its buffers alone.

    Returns:
        The keys of those that stay without a value.
    """
    missing: list[str] = []
    for path, module in submodules(model):
        names = [n for n, b in own_buffers(module).items() if n in transient_buffers(module) and b.is_meta]
        values = _computed(module, model, names) if names else {}
        for name in names:
            key = f"{path}.{name}" if path else name
            if name in values:
                state[key] = values[name]
            else:
                missing.append(key)
    return missing


def _computed(module: nn.Module, model: nn.Module, names: list[str]) -> dict[str, torch.Tensor]:
    """The buffers of a module that its own initialisation fills as a whole, twice in the same way."""
    initialise = getattr(model, "_init_weights", None) or _reset
    found: list[dict[str, torch.Tensor]] = []
    for mark in (0, 1):
        twin: Any = copy.copy(module)
        twin._parameters, twin._buffers = dict(twin._parameters), dict(twin._buffers)
        for name in names:
            twin._buffers[name] = torch.full_like(twin._buffers[name], mark, device="cpu")
        if not _runs(initialise, twin):
            return {}
        found.append({name: twin._buffers[name] for name in names})
    return {
        n: found[0][n] for n in names if not found[0][n].is_meta and torch.equal(found[0][n], found[1][n])
    }


def _reset(module: Any) -> None:
    module.reset_parameters()


def _runs(initialise: Callable[[nn.Module], object], module: nn.Module) -> bool:
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():  # pyright: ignore[reportUnknownMemberType]
            initialise(module)
    except Exception:  # noqa: BLE001 - somebody else's initialisation, run for its buffers alone
        return False
    return True

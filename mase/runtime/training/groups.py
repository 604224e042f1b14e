"""Which parameters decay, which do not, and which are scales of quantizers, with a rate of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from torch import nn

from mase.ir.diagnostics import MaseError, did_you_mean
from mase.runtime.modules.base import QuantizedModule

__all__ = ["KINDS", "Group", "parameter_groups", "parameter_kinds"]

KINDS = ("bias", "norm", "embedding")
"""The kinds of parameters that `no_decay` knows by a word."""


@dataclass
class Group:
    """Parameters that are trained alike.

    Args:
        name: ``"weights"``, ``"no decay"`` or ``"scales"``.
        weight_decay: of these.
        rate: factor of the learning rate.
        parameters: by their names in the model.
    """

    name: str
    weight_decay: float
    rate: float = 1.0
    parameters: dict[str, nn.Parameter] = field(default_factory=dict[str, nn.Parameter])

    def __str__(self) -> str:
        count = sum(parameter.numel() for parameter in self.parameters.values())
        at = f" at {self.rate:g} of the learning rate" if self.rate != 1.0 else ""
        return f"{len(self.parameters)} {self.name} ({count:,} numbers) decay by {self.weight_decay:g}{at}"


def parameter_groups(
    model: nn.Module,
    *,
    weight_decay: float,
    no_decay: Iterable[str],
    scale_rate: float = 1.0,
    kinds: Mapping[str, str] | None = None,
) -> list[Group]:
    """The trainable parameters of a model, grouped; no group is empty, no two are alike.

    Args:
        model: what is trained.
        weight_decay: of the weights.
        no_decay: kinds (`KINDS`) and patterns of names of what does not decay.
        scale_rate: factor of the learning rate for learned scales, which never decay.
        kinds: the kind of each parameter, from when the model was whole; by default as it is now.

    Raises:
        MaseError: if a pattern is of no parameter.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
        >>> for group in parameter_groups(net, weight_decay=0.1, no_decay=["bias", "norm"]):
        ...     print(group, list(group.parameters))
        1 weights (6 numbers) decay by 0.1 ['0.weight']
        3 no decay (9 numbers) decay by 0 ['0.bias', '1.weight', '1.bias']
    """
    patterns = list(no_decay)
    groups = [Group("weights", weight_decay), Group("no decay", 0.0), Group("scales", 0.0, scale_rate)]
    weights, exempt, scales = groups
    if not weight_decay:  # then they are alike
        exempt = weights
        scales = weights if scale_rate == 1.0 else scales
    kinds = parameter_kinds(model) if kinds is None else kinds
    _check(patterns, kinds)
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if kinds[name] == "scale":
            group = scales
        elif any(kinds[name] == pattern or fnmatchcase(name, pattern) for pattern in patterns):
            group = exempt
        else:
            group = weights
        group.parameters[name] = parameter
    return [group for group in groups if group.parameters]


def parameter_kinds(model: nn.Module) -> dict[str, str]:
    """The kind of each parameter by its name, one of `KINDS`, ``"scale"``, or empty for a weight.

    Args:
        model: whole: where a strategy has split it, every parameter is a vector.

    Example:
        >>> parameter_kinds(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)))
        {'0.weight': '', '0.bias': 'bias', '1.weight': 'norm', '1.bias': 'bias'}
    """
    roles = {
        f"{role}_scale"
        for part in model.modules()
        if isinstance(part, QuantizedModule)
        for role in part.formats
    }
    found: dict[str, str] = {}
    for name, parameter in model.named_parameters():
        path, _, own = name.rpartition(".")
        module = model.get_submodule(path)
        if own in roles:
            found[name] = "scale"
        elif own.endswith("bias"):
            found[name] = "bias"
        elif isinstance(module, nn.Embedding):
            found[name] = "embedding"
        elif "Norm" in type(module).__name__ or (own == "weight" and parameter.ndim < 2):
            found[name] = "norm"
        else:
            found[name] = ""
    return found


def _check(patterns: list[str], kinds: Mapping[str, str]) -> None:
    for pattern in patterns:
        if pattern not in KINDS and not any(fnmatchcase(name, pattern) for name in kinds):
            raise MaseError.of(
                f"no_decay: no parameter is called {pattern!r}", help=did_you_mean(pattern, [*KINDS, *kinds])
            )

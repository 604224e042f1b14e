"""Which sizes of the inputs stay symbolic, and what they are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from mase.frontends.arguments import Argument, Arguments
from mase.frontends.internals import is_plain_symbol, symbol_text
from mase.frontends.values import Dims
from mase.ir.diagnostics import MaseError, did_you_mean

__all__ = ["BATCH", "Dynamic", "DynamicShapes"]

BATCH = "N"
DynamicShapes = Mapping[str, Mapping[int, str]]
"""``{input: {dimension: name}}``."""


class Dynamic:
    """The symbolic sizes that a capture asks for.

    Args:
        arguments: the example arguments.
        wanted: names by input and dimension. None names dimension 0 of every input ``N`` that is as
            long as the first input's, if that is at least 2.

    Raises:
        MaseError: if it names an unknown input or dimension, or one whose example size is below 2:
            torch takes 0 and 1 for constants.

    Example:
        >>> class Net(torch.nn.Module):
        ...     def forward(self, x, table): ...
        >>> arguments = Arguments(Net(), (torch.ones(2, 3), torch.ones(5)), {})
        >>> Dynamic(arguments).names
        {'x': {0: 'N'}}
    """

    def __init__(self, arguments: Arguments, wanted: DynamicShapes | None = None) -> None:
        self._arguments = arguments.tensors
        self.asked = wanted is not None
        self.remark: str | None = None
        self.names: dict[str, dict[int, str]] = self._default() if wanted is None else self._checked(wanted)

    def _default(self) -> dict[str, dict[int, str]]:
        sizes = {a.name: a.value.shape[0] for a in self._arguments if a.value.dim()}
        batch = next(iter(sizes.values()), 1)
        if batch == 1:
            self.remark = "the example has a batch of 1, so the graph works with no other; give it 2 or more"
        return {name: {0: BATCH} for name, size in sizes.items() if size == batch > 1}

    def _checked(self, wanted: DynamicShapes) -> dict[str, dict[int, str]]:
        known = {a.name: a for a in self._arguments} | {a.path: a for a in self._arguments if a.path}
        names: dict[str, dict[int, str]] = {}
        for label, dims in wanted.items():
            if label not in known:
                raise MaseError.of(f"dynamic: no input {label!r}", help=did_you_mean(label, known))
            argument = known[label]
            names[argument.name] = {_dimension(argument, d): name for d, name in dims.items()}
        return names

    def specs(self) -> tuple[dict[int, Any] | None, ...]:
        """What ``torch.export`` is to take for dynamic, by tensor."""
        auto = torch.export.Dim.AUTO
        return tuple(dict.fromkeys(self.names.get(a.name, {}), auto) or None for a in self._arguments)

    def dims(self, values: list[Any]) -> tuple[Dims, list[str]]:
        """Names for the symbols that the trace gave to ``values``, the inputs.

        Returns:
            The names and, as ``"x: dimension 0 is 2"``, the sizes that the trace needed to be constant.
        """
        names: dict[str, str] = {}
        fixed: list[str] = []
        for argument, value in zip(self._arguments, values, strict=True):
            for d, name in self.names.get(argument.name, {}).items():
                size = value.shape[d]
                if not isinstance(size, torch.SymInt) or symbol_text(size).isdigit():
                    fixed.append(f"{argument.name}: dimension {d} is {size}")
                elif is_plain_symbol(size):
                    names.setdefault(symbol_text(size), name)
        return Dims(names), fixed


def _dimension(argument: Argument, d: int) -> int:
    rank = argument.value.dim()
    if not -rank <= d < rank:
        raise MaseError.of(f"dynamic: input {argument.name!r} has {rank} dimensions, so no dimension {d}")
    if argument.value.shape[d] < 2:
        raise MaseError.of(
            f"dynamic: dimension {d} of the example input {argument.name!r} is {argument.value.shape[d]}, "
            "which the trace takes for a constant",
            help="give an example whose size there is at least 2",
        )
    return d % rank

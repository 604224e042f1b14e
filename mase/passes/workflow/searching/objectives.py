"""What a search is after: metrics to make larger or smaller, and metrics with a bound."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from mase.ir.diagnostics import MaseError, UsageError, did_you_mean

__all__ = ["COSTS", "Constraint", "Direction", "Objective", "parse_constraint", "resolve", "value_of"]

Direction = Literal["maximize", "minimize"]

COSTS = (
    *("average_bits", "memory", "weight_bits", "bit_ops", "bits_moved", "macs", "parameters"),
    *("lut", "dsp", "bram", "cycles"),
)
"""What every trial costs, and less of it is better: see `measure`."""


@dataclass(frozen=True)
class Objective:
    """A metric and which way is better.

    Args:
        name: a cost (``average_bits``), a metric of the task (``accuracy``, ``val/loss``), or whatever a
            pass of the option ``measure`` records.
        direction: ``maximize`` or ``minimize``; may be absent for costs and metrics of the task.
    """

    name: str
    direction: Direction | None = None


@dataclass(frozen=True)
class Constraint:
    """A bound that a trial must keep to count.

    Args:
        name: a metric, as in `Objective`.
        upper: whether the bound is the largest value allowed, or else the smallest.
        bound: the value.
    """

    name: str
    upper: bool
    bound: float

    def __str__(self) -> str:
        return f"{self.name} {'<=' if self.upper else '>='} {self.bound:g}"

    def violation(self, value: float) -> float:
        """How far a value is beyond the bound; 0 or less where it is not.

        Example:
            >>> parse_constraint("average_bits <= 4").violation(6.0)
            2.0
        """
        return value - self.bound if self.upper else self.bound - value


_CONSTRAINT = re.compile(r"\s*([\w/ -]*?\w)\s*(<=|>=)\s*([+-]?[\d.]+(?:[eE][+-]?\d+)?)\s*")


def parse_constraint(text: str) -> Constraint:
    """Read a bound.

    Args:
        text: ``NAME <= NUMBER`` or ``NAME >= NUMBER``.

    Raises:
        UsageError: if it is anything else.

    Example:
        >>> parse_constraint("val/accuracy>=0.97")
        Constraint(name='val/accuracy', upper=False, bound=0.97)
    """
    match = _CONSTRAINT.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        return Constraint(match[1], match[2] == "<=", float(match[3]))
    except ValueError:
        raise UsageError.of(
            f"malformed constraint {text!r}", help="write it like average_bits <= 4"
        ) from None


def resolve(
    objectives: Iterable[Objective],
    constraints: Iterable[Constraint],
    task: Mapping[str, Direction],
    split: str,
) -> tuple[list[Objective], list[Constraint]]:
    """Give every objective its direction and every name its full form (``accuracy`` is ``val/accuracy``).

    Args:
        objectives: as the user wrote them.
        constraints: as the user wrote them.
        task: the metrics of the task with their directions.
        split: the part of the data that trials are measured on.

    Raises:
        MaseError: if an objective without a direction is no known metric, or a metric is of another split.

    Example:
        >>> found, _ = resolve([Objective("accuracy")], [], {"accuracy": "maximize"}, "val")
        >>> found
        [Objective(name='val/accuracy', direction='maximize')]
    """
    known: dict[str, Direction] = {f"{split}/{name}": way for name, way in task.items()}
    known |= dict.fromkeys(COSTS, "minimize")

    def full(name: str) -> str:
        before, slash, _ = name.partition("/")
        if slash and before in ("train", "val", "test") and before != split:
            raise UsageError.of(
                f"{name!r} is not measured, because trials run on the {split} split",
                help=f'set split = "{before}"',
            )
        return f"{split}/{name}" if name in task else name

    found: list[Objective] = []
    for each in objectives:
        name = full(each.name)
        way = each.direction or known.get(name)
        if way is None:
            raise UsageError.of(
                f"unknown objective {each.name!r}",
                help=f"{did_you_mean(each.name, [*task, *known])} "
                "(a metric that a pass of `measure` records needs a direction)",
            )
        found.append(Objective(name, way))
    return found, [replace(each, name=full(each.name)) for each in constraints]


def value_of(name: str, metrics: Mapping[str, float]) -> float:
    """A metric of a trial.

    Raises:
        MaseError: if it was not measured, with a remedy.
    """
    if name not in metrics:
        raise MaseError.of(f"no trial measures {name!r}", help=did_you_mean(name, metrics))
    return metrics[name]

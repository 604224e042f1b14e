"""Courses of the learning rate, each a function from progress (0 to 1) to a factor."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from mase.ir.diagnostics import MaseError
from mase.runtime.registry import Registry

__all__ = ["SCHEDULES", "Schedule", "make_scheduler", "register_schedule"]

Schedule = Callable[[float], float]
"""From the share of the run that is done, 0 to 1, to a factor of the peak learning rate."""

SCHEDULES: Registry[Schedule] = Registry("scheduler", group="mase.schedules")
"""Every schedule that can be named; iterate over it for the names."""

register_schedule = SCHEDULES.register
"""Registers a `Schedule` under the name that users write."""


@register_schedule("none", "constant")
def constant(progress: float) -> float:
    """Stays at the peak."""
    return 1.0


@register_schedule("linear")
def linear(progress: float) -> float:
    """Falls to 0 in a straight line."""
    return 1.0 - progress


@register_schedule("cosine")
def cosine(progress: float) -> float:
    """Falls to 0 in half a cosine wave."""
    return 0.5 * (1.0 + math.cos(math.pi * progress))


@register_schedule("step")
def step(progress: float) -> float:
    """Falls to a tenth after each third of the run."""
    return 0.1 ** min(int(progress * 3), 2)


def make_scheduler(name: str, optimizer: Optimizer, *, warmup: float, total_steps: float) -> LambdaLR:
    """A schedule applied to an optimizer, to be advanced once every optimizer step.

    Args:
        name: a name from `SCHEDULES`.
        optimizer: whose learning rate to set.
        warmup: steps of a straight rise from 0 before the schedule begins; below 1, a share of the run.
        total_steps: steps in the whole run, warm-up included; infinite for a run without end.

    Raises:
        MaseError: if no schedule has this name.

    Example:
        >>> import torch
        >>> sgd = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        >>> scheduler = make_scheduler("linear", sgd, warmup=2, total_steps=4)
        >>> rates = []
        >>> for _ in range(4):
        ...     rates += scheduler.get_last_lr()
        ...     sgd.step(); scheduler.step()
        >>> rates
        [0.5, 1.0, 1.0, 0.5]
    """
    schedule = SCHEDULES[name]
    warmup_steps = _steps(warmup, total_steps)

    def factor(done: int) -> float:
        if done < warmup_steps:
            return (done + 1) / warmup_steps
        return schedule(min(1.0, (done - warmup_steps) / max(1, total_steps - warmup_steps)))

    return LambdaLR(optimizer, factor)


def _steps(warmup: float, total_steps: float) -> int:
    if warmup >= 1 or not warmup:
        return int(warmup)
    if math.isinf(total_steps):
        raise MaseError.of(
            f"warmup = {warmup:g} is a share of a run that has no end", help="give it in optimizer steps"
        )
    return math.ceil(warmup * total_steps)

"""Courses of the learning rate, each a function from progress (0 to 1) to a factor."""

from __future__ import annotations

import math
from collections.abc import Callable

from mase.runtime.registry import Registry

__all__ = ["SCHEDULES", "Schedule", "register_schedule"]

Schedule = Callable[..., float]
"""From the share of the run that is done, 0 to 1, to a factor of the peak learning rate; its keyword-only
arguments are its options."""

SCHEDULES: Registry[Schedule] = Registry("scheduler", group="mase.schedules")
"""Every schedule that can be named; iterate over it for the names."""

register_schedule = SCHEDULES.register
"""Registers a `Schedule` under the name that users write."""


@register_schedule("none", "constant", "constant_with_warmup")
def constant(progress: float) -> float:
    """Stays at the peak."""
    return 1.0


@register_schedule("linear")
def linear(progress: float, *, end: float = 0.0) -> float:
    """Falls to ``end`` of the peak in a straight line."""
    return end + (1.0 - end) * (1.0 - progress)


@register_schedule("cosine")
def cosine(progress: float, *, end: float = 0.0, cycles: float = 0.5) -> float:
    """Falls to ``end`` of the peak in half a cosine wave, or in as many waves as ``cycles`` says."""
    return end + (1.0 - end) * 0.5 * (1.0 + math.cos(2.0 * math.pi * cycles * progress))


@register_schedule("polynomial")
def polynomial(progress: float, *, power: float = 1.0, end: float = 0.0) -> float:
    """Falls to ``end`` of the peak as ``(1 - progress) ** power``."""
    return end + (1.0 - end) * (1.0 - progress) ** power


@register_schedule("exponential")
def exponential(progress: float, *, end: float = 0.01) -> float:
    """Falls to ``end`` of the peak by the same share in each step."""
    return end**progress


@register_schedule("step")
def step(progress: float, *, steps: int = 3, factor: float = 0.1) -> float:
    """Falls to a tenth (``factor``) after each third (of ``steps`` parts) of the run."""
    return factor ** min(int(progress * steps), steps - 1)

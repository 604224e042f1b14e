"""Schedulers by name: the courses of `SCHEDULES` with their warm-up, and those of torch."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from torch.optim import Optimizer, lr_scheduler
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau

from mase.ir.diagnostics import MaseError, did_you_mean
from mase.runtime.training.arguments import check_arguments
from mase.runtime.training.schedules import SCHEDULES, Schedule

__all__ = ["Course", "make_course"]

_SHORT = {"onecycle": "onecyclelr", "plateau": "reducelronplateau"}
_BY_STEP = {"onecyclelr", "cycliclr"}
_NEEDS_CODE = {"lambdalr", "multiplicativelr", "sequentiallr", "chainedscheduler", "lrscheduler"}
_TORCH: dict[str, type[LRScheduler]] = {
    name.lower(): cls
    for name, cls in vars(lr_scheduler).items()
    if isinstance(cls, type) and issubclass(cls, LRScheduler) and not name.startswith("_")
}


@dataclass(frozen=True)
class Course:
    """A scheduler, and when it moves.

    Args:
        scheduler: over an optimizer.
        by: after each ``step`` of the optimizer, or each ``epoch``.
    """

    scheduler: LRScheduler
    by: Literal["step", "epoch"]

    def end_epoch(self, metric: float) -> None:
        """Moves a scheduler that moves once an epoch.

        Args:
            metric: the monitored one, for a scheduler that waits for it to get better.
        """
        if isinstance(self.scheduler, ReduceLROnPlateau):
            cast(Any, self.scheduler).step(metric)
        elif self.by == "epoch":
            self.scheduler.step()


def make_course(
    name: str,
    optimizer: Optimizer,
    *,
    total_steps: float,
    warmup: float = 0.0,
    options: Mapping[str, Any] | None = None,
    higher_is_better: bool = False,
) -> Course:
    """The course of the learning rate of this name.

    Args:
        name: a name from `SCHEDULES`, or from `torch.optim.lr_scheduler` in any case. Those of torch move
            once an epoch, as its documentation has them, but for ``onecycle`` and ``CyclicLR``.
        optimizer: whose learning rate to set.
        total_steps: optimizer steps in the whole run, warm-up included.
        warmup: steps of a straight rise before the schedule begins; below 1, a share of the run. The first
            step is taken at a rate above 0.
        options: further arguments.
        higher_is_better: of the metric that ``plateau`` watches.

    Raises:
        MaseError: if no scheduler has this name, or its options are wrong.

    Example:
        >>> import torch
        >>> sgd = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        >>> course = make_course("linear", sgd, warmup=2, total_steps=4)
        >>> rates = []
        >>> for _ in range(4):
        ...     rates += course.scheduler.get_last_lr()
        ...     sgd.step(); course.scheduler.step()
        >>> rates
        [0.5, 1.0, 1.0, 0.5]
    """
    known = _SHORT.get(name.lower(), name.lower())
    if name in SCHEDULES:
        schedule = SCHEDULES[name]
        arguments = check_arguments(f"scheduler {name!r}", schedule, options or {}, settled={})
        factor = _factor(schedule, arguments, _steps(warmup, total_steps), total_steps)
        return Course(LambdaLR(optimizer, factor), "step")
    if known not in _TORCH or known in _NEEDS_CODE:
        names = [*SCHEDULES, *_SHORT, *sorted(_TORCH.keys() - _NEEDS_CODE)]
        raise MaseError.of(f"unknown scheduler {name!r}", help=did_you_mean(name, names))
    if warmup:
        raise MaseError.of(
            f"scheduler {name!r} knows no warmup",
            help="leave it out (onecycle has pct_start), or choose " + ", ".join(SCHEDULES),
        )
    return _torch(name, _TORCH[known], optimizer, int(total_steps), options or {}, higher_is_better)


def _torch(
    name: str,
    cls: type[LRScheduler],
    optimizer: Optimizer,
    total_steps: int,
    options: Mapping[str, Any],
    higher_is_better: bool,
) -> Course:
    what = f"scheduler {name!r}"
    own: dict[str, Any] = {}
    settled = {"last_epoch": "resume"}
    parameters = inspect.signature(cls).parameters
    if "max_lr" in parameters:
        own["max_lr"] = [group["lr"] for group in optimizer.param_groups]
        settled["max_lr"] = "learning_rate"
    if "total_steps" in parameters:
        own["total_steps"] = total_steps
        settled |= dict.fromkeys(("total_steps", "epochs", "steps_per_epoch"), "max_epochs")
    if issubclass(cls, ReduceLROnPlateau):
        own["mode"] = "max" if higher_is_better else "min"
        settled["mode"] = "monitor"
    arguments = check_arguments(what, cls, options, settled=settled)
    try:
        scheduler = cls(optimizer, **own, **arguments)
    except (TypeError, ValueError) as error:
        raise MaseError.of(f"{what}: {error}", help="say them in scheduler_options") from error
    return Course(scheduler, "step" if cls.__name__.lower() in _BY_STEP else "epoch")


def _factor(
    schedule: Schedule, arguments: Mapping[str, Any], warmup: int, total_steps: float
) -> Callable[[int], float]:
    def factor(done: int) -> float:
        if done < warmup:
            return (done + 1) / warmup
        return schedule(min(1.0, (done - warmup) / max(1, total_steps - warmup)), **arguments)

    return factor


def _steps(warmup: float, total_steps: float) -> int:
    if not 0 < warmup < 1:
        return int(warmup)
    if math.isinf(total_steps):
        raise MaseError.of(
            f"warmup = {warmup:g} is a share of a run that has no end", help="give it in optimizer steps"
        )
    return math.ceil(warmup * total_steps)

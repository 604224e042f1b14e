"""What a study found: its trials, the Pareto front, and the trial to take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from mase.passes.workflow.searching.objectives import Objective

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

__all__ = ["Outcome", "outcomes_of", "pick_best"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A complete trial.

    Args:
        number: its number in the study.
        chosen: the choice for each dimension.
        metrics: everything that was measured.
        feasible: whether it keeps to every constraint.
        front: whether no other feasible trial is better in one objective and as good in all.
        seconds: how long it took.
    """

    number: int
    chosen: Mapping[str, str]
    metrics: Mapping[str, float]
    feasible: bool
    front: bool
    seconds: float


def outcomes_of(study: Study) -> list[Outcome]:
    """The complete trials of a study, in order."""
    from optuna.trial import TrialState

    from mase.passes.workflow.searching.study import METRICS

    front = {trial.number for trial in study.best_trials}
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return [
        Outcome(
            number=trial.number,
            chosen=cast("dict[str, str]", trial.params),
            metrics=cast("dict[str, float]", trial.user_attrs[METRICS]),
            feasible=_feasible(trial),
            front=trial.number in front,
            seconds=trial.duration.total_seconds() if trial.duration else 0.0,
        )
        for trial in complete
    ]


def _feasible(trial: FrozenTrial) -> bool:
    bounds: Mapping[str, Any] = trial.constraints
    return all(value <= 0 for value in bounds.values())


def pick_best(
    outcomes: Sequence[Outcome], objectives: Sequence[Objective], tolerance: float
) -> Outcome | None:
    """The trial of the Pareto front to take, or None if the front is empty.

    Args:
        outcomes: every complete trial.
        objectives: with their directions.
        tolerance: how much worse than the best a trial may be in the first objective, as a share of the
            best value; of these, the best in the second objective is taken, then the next, then the first.
    """
    front = [each for each in outcomes if each.front]
    if not front:
        return None
    losses = {each.number: _losses(each, objectives) for each in front}
    best = min(first for first, *_ in losses.values())
    close = [each for each in front if losses[each.number][0] <= best + tolerance * abs(best)]
    return min(close, key=lambda each: (losses[each.number][1:], losses[each.number][0], each.number))


def _losses(outcome: Outcome, objectives: Sequence[Objective]) -> tuple[float, ...]:
    """The objectives, all to be minimized."""
    signs = {"maximize": -1.0, "minimize": 1.0, None: 1.0}
    return tuple(signs[each.direction] * outcome.metrics[each.name] for each in objectives)

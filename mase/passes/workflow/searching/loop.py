"""The loop of a search: trial after trial, until there are enough or the time is over."""

from __future__ import annotations

import logging
import math
import time
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import optuna
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.trial import Trial

from mase.ir.diagnostics import MaseError
from mase.passes.workflow.searching.objectives import Constraint, Objective, value_of
from mase.passes.workflow.searching.study import METRICS, REASON, SURPLUS, WORKER, SharedStudy, pause, worker

__all__ = ["Loop", "Watcher", "quiet"]

Measure = Callable[[Mapping[str, str]], dict[str, float]]


class Watcher(Protocol):
    """Who is told how far a search is."""

    def __call__(self, shared: SharedStudy) -> None:
        """Look at the study after a trial."""


class _AbandonedError(Exception):
    """A trial without a result, which has been noted."""


@dataclass(frozen=True)
class Loop:
    """Runs the trials of a study in this process.

    Args:
        shared: the study.
        choices: the choices of each dimension.
        objectives: with their directions.
        constraints: the bounds.
        measure: from the choices of a trial to its metrics.
    """

    shared: SharedStudy
    choices: Mapping[str, Sequence[str]]
    objectives: Sequence[Objective]
    constraints: Sequence[Constraint]
    measure: Measure

    def run(self, timeout: float | None, watch: Watcher) -> None:
        """Run until the study has its trials; wait for those that other processes are still running.

        Args:
            timeout: seconds after which no further trial begins.
            watch: told after each trial.
        """
        end = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            watch(self.shared)
            if self.shared.done() >= self.shared.total or time.monotonic() >= end:
                return
            self.shared.recover()
            if self.shared.under_way() >= self.shared.total:
                pause()
            else:
                self._one()

    def _one(self) -> None:
        self.shared.claims.acquire()
        try:
            self.shared.study.optimize(self._trial, n_trials=1, catch=(_AbandonedError,))
        except UpdateFinishedTrialError:
            return  # it took so long that another process gave it up
        finally:
            self.shared.claims.release()

    def _trial(self, trial: Trial) -> tuple[float, ...]:
        trial.set_user_attr(WORKER, worker())
        self.shared.claims.release()
        if self.shared.is_surplus(trial.number):
            trial.set_user_attr(SURPLUS, True)
            raise _AbandonedError
        chosen = {
            name: trial.suggest_categorical(name, list(choices)) for name, choices in self.choices.items()
        }
        metrics = self.shared.measured(chosen) or self._measured(trial, chosen)
        values = [value_of(each.name, metrics) for each in self.objectives]
        bounds = {str(each): each.violation(value_of(each.name, metrics)) for each in self.constraints}
        for value in (*values, *bounds.values()):
            if math.isnan(value):
                self._abandon(trial, "a metric is not a number")
        for key, violation in bounds.items():
            trial.set_constraint(key, violation)
        trial.set_user_attr(METRICS, metrics)
        return tuple(values)

    def _measured(self, trial: Trial, chosen: Mapping[str, str]) -> dict[str, float]:
        try:
            return self.measure(chosen)
        except MaseError as error:
            if not self.shared.finished():
                raise  # nothing has worked so far, so it is hardly these choices
            self._abandon(trial, str(error))
            raise

    def _abandon(self, trial: Trial, reason: str) -> None:
        trial.set_user_attr(REASON, reason)
        raise _AbandonedError(reason)


@contextmanager
def quiet() -> Generator[None]:
    """Hide what optuna says about each trial; the progress bar and the tables say it."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        try:
            yield
        finally:
            optuna.logging.set_verbosity(before)

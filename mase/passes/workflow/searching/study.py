"""One study that several processes may work on and that outlives each of them."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import optuna
from optuna import Study
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from mase.ir.diagnostics import MaseError
from mase.passes.workflow.searching.objectives import Direction
from mase.passes.workflow.searching.samplers import make_sampler
from mase.passes.workflow.searching.storage import ProcessLock

__all__ = ["METRICS", "REASON", "SURPLUS", "WORKER", "SharedStudy", "pause", "worker"]

METRICS, REASON, SURPLUS, WORKER = "metrics", "reason", "surplus", "worker"
"""What is kept of a trial: its metrics; why it has none; that it was one too many; who runs it."""

_RETRY_OF = "mase:retry_of"
_CLAIMED_WITHIN = 5.0  # seconds in which a process says that a trial is its own, where no lock tells
_EXHAUSTIVE = ("grid", "brute_force")


def worker() -> dict[str, Any]:
    """This process, as a trial remembers it."""
    return {"host": socket.gethostname(), "pid": os.getpid()}


@dataclass(frozen=True)
class SharedStudy:
    """A study and its storage.

    Args:
        study: optuna's.
        storage: where it lives.
        sampler: the name of the sampler.
        choices: the choices of each dimension.
        total: how many trials there are to be, those of all processes and earlier runs together.
        claims: held while a process begins a trial and says that it is its own.
    """

    study: Study
    storage: BaseStorage
    sampler: str
    choices: Mapping[str, Sequence[str]]
    total: int
    claims: ProcessLock

    @classmethod
    def open(
        cls,
        storage: BaseStorage,
        name: str,
        directions: Sequence[Direction],
        facts: Mapping[str, str],
        *,
        sampler: str,
        seed: int,
        choices: Mapping[str, Sequence[str]],
        total: int,
        claims: ProcessLock,
    ) -> SharedStudy:
        """Join a study, or make it if there is none of this name.

        Args:
            storage: where it lives.
            name: its name.
            directions: of the objectives.
            facts: what makes the search what it is; those of who joins must be the same.
            sampler: the name of the sampler.
            seed: seeds the sampler.
            choices: the choices of each dimension.
            total: how many trials there are to be.
            claims: held while a process begins a trial.

        Raises:
            MaseError: if the study of this name is another search.
        """
        chooser = make_sampler(sampler, seed, choices, _before)
        study = optuna.create_study(
            storage=storage,
            study_name=name,
            directions=list(directions),
            sampler=chooser,
            load_if_exists=True,
        )
        known = cast("dict[str, str]", study.user_attrs.get("search", {}))
        if known:
            _check_same(name, known, facts)
        else:
            study.set_user_attr("search", dict(facts))
        return cls(study, storage, sampler, choices, total, claims)

    # -- what has been done -------------------------------------------------------------------

    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        """The trials in these states, or all of them."""
        return self.study.get_trials(deepcopy=False, states=states or None)

    def finished(self) -> list[FrozenTrial]:
        """The trials that count: complete, or failed for a reason of their own."""
        return [t for t in self.trials(TrialState.COMPLETE, TrialState.FAIL) if _counts(t)]

    def done(self) -> int:
        """How much of `total` has been done."""
        return self._count(self.finished())

    def under_way(self) -> int:
        """How much of `total` has been done or is being done."""
        return self._count([*self.finished(), *self.trials(TrialState.RUNNING)])

    def is_surplus(self, number: int) -> bool:
        """Whether a trial that has just begun is one too many, because two processes began at once."""
        earlier = [t for t in self.trials(TrialState.RUNNING) if t.number < number]
        mine = self.trials()[number].system_attrs.get(_RETRY_OF)
        twice = mine is not None and any(
            t.system_attrs.get(_RETRY_OF) == mine for t in self.trials()[:number] if not _dropped(t)
        )
        return twice or self._count([*self.finished(), *earlier]) >= self.total

    def measured(self, params: Mapping[str, Any]) -> dict[str, float] | None:
        """The metrics of an earlier trial of the same choices."""
        for trial in self.trials(TrialState.COMPLETE):
            if trial.params == params and METRICS in trial.user_attrs:
                return cast("dict[str, float]", trial.user_attrs[METRICS])
        return None

    def reasons(self) -> list[str]:
        """Why trials have no result, in order."""
        return [str(t.user_attrs[REASON]) for t in self.trials() if REASON in t.user_attrs]

    def _count(self, trials: Sequence[FrozenTrial]) -> int:
        """Trials; for a sampler that is to try everything, different ones."""
        if self.sampler not in _EXHAUSTIVE:
            return len(trials)
        return len({tuple(sorted(t.params.items())) for t in trials})

    # -- what was left undone -----------------------------------------------------------------

    def recover(self) -> None:
        """Queue again what a process was running when it was killed."""
        slowest = max((t.duration.total_seconds() for t in self.finished() if t.duration), default=0.0)
        with self.claims:
            for trial in self.trials(TrialState.RUNNING):
                if _is_gone(trial, slowest, 0.0 if self.claims.works else _CLAIMED_WITHIN):
                    self._give_up(trial)
        retried = {trial.system_attrs.get(_RETRY_OF) for trial in self.trials()}
        for trial in self.trials(TrialState.FAIL):
            if not _counts(trial) and not _dropped(trial) and trial.number not in retried:
                self._retry(trial)

    def _give_up(self, trial: FrozenTrial) -> None:
        study = self.storage.get_study_id_from_name(self.study.study_name)
        try:
            number = self.storage.get_trial_id_from_study_id_trial_number(study, trial.number)
            self.storage.set_trial_state_values(number, TrialState.FAIL)
        except UpdateFinishedTrialError:
            return  # another process was faster

    def _retry(self, trial: FrozenTrial) -> None:
        kept = {k: v for k, v in trial.system_attrs.items() if not k.startswith("constraints")}
        # Cut off amid its choices, it makes all of them anew: the sampler's numbers belong to them in order.
        chosen = trial.params.keys() == self.choices.keys()
        self.study.add_trial(
            create_trial(
                state=TrialState.WAITING,
                params=trial.params if chosen else {},
                distributions=trial.distributions if chosen else {},
                system_attrs={**kept, _RETRY_OF: trial.number},
            )
        )

    def enqueue(self, params: Mapping[str, Any]) -> None:
        """Try these choices before the sampler has its say."""
        self.study.enqueue_trial(dict(params), skip_if_exists=True)


def _check_same(name: str, known: Mapping[str, str], facts: Mapping[str, str]) -> None:
    differing = [fact for fact in facts if known.get(fact) != facts[fact]]
    if differing:
        raise MaseError.of(
            f"study {name!r} is another search: it differs in {', '.join(differing)}",
            help="choose another study_name, or leave it out to have one for each search",
        )


def _counts(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.COMPLETE or REASON in trial.user_attrs


def _dropped(trial: FrozenTrial) -> bool:
    return bool(trial.user_attrs.get(SURPLUS))


def _before(study: Study, trial: FrozenTrial) -> list[FrozenTrial]:
    """The trials before this one, less those that were cut off, for which others stand in."""
    trials = study.get_trials(deepcopy=False)[: trial.number]
    return [t for t in trials if t.state != TrialState.FAIL or _counts(t)]


def _is_gone(trial: FrozenTrial, slowest: float, claimed_within: float) -> bool:
    """Whether nobody works on a running trial any more.

    On this machine that can be known. Of another, a trial that takes five times as long as the slowest
    so far is given up, but none in its first minute.
    """
    age = (datetime.now() - (trial.datetime_start or datetime.now())).total_seconds()
    owner = cast("dict[str, Any] | None", trial.user_attrs.get(WORKER))
    if owner is None:
        return age > claimed_within
    me = worker()
    if owner["host"] != me["host"]:
        return slowest > 0 and age > max(60.0, 5 * slowest)
    return owner["pid"] == me["pid"] or not _lives(owner["pid"])


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def pause() -> None:
    """Wait a little for other processes."""
    time.sleep(0.1)

"""Samplers by name: optuna's, which only get their seeds here, and one that tries everything."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import gcd, prod
from random import Random
from typing import TYPE_CHECKING, Any

from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial, TrialState

__all__ = ["Before", "Exhaustive", "SeededByTrial", "make_sampler"]

Before = Callable[["Study", "FrozenTrial"], Sequence["FrozenTrial"]]
"""The trials of a study that count and came before a trial."""

_POPULATION = 16

_MAKERS: dict[str, Callable[[int], BaseSampler]] = {
    "tpe": lambda seed: TPESampler(seed=seed, multivariate=True),
    "nsga2": lambda seed: NSGAIISampler(seed=seed, population_size=_POPULATION),
    "random": lambda seed: RandomSampler(seed=seed),
}


def make_sampler(name: str, seed: int, choices: Mapping[str, Sequence[str]], before: Before) -> BaseSampler:
    """The sampler of this name.

    Args:
        name: ``tpe``, ``nsga2``, ``random``, ``grid`` or ``brute_force``.
        seed: seeds it.
        choices: the choices of each dimension.
        before: the trials that count and came before a trial.
    """
    if name in _MAKERS:
        return SeededByTrial(_MAKERS[name], seed, before)
    return Exhaustive(choices, None if name == "grid" else seed, before)


class SeededByTrial(BaseSampler):
    """Makes a sampler anew for each trial, seeded by how many trials there were before.

    So a search that was cut off goes on as if it had not been, and two processes that join one study
    do not draw the same numbers.

    Args:
        make: makes the sampler from a seed.
        seed: the user's.
        before: the trials that count and came before a trial.
    """

    def __init__(self, make: Callable[[int], BaseSampler], seed: int, before: Before) -> None:
        self._make, self._seed, self._before = make, seed, before
        self._inner = self._made(0)

    def _made(self, index: int) -> BaseSampler:
        return self._make((self._seed * 1_000_003 + index) % 2**32)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._inner = self._made(len(self._before(study, trial)))
        self._inner.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._inner.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._inner.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        self._inner.after_trial(study, trial, state, values)


class Exhaustive(BaseSampler):
    """Tries every configuration, each once, however many there are and whatever became of a process.

    Optuna's own lists all of them at first (``GridSampler``) or cannot go on after a trial that was cut
    off among its choices (``BruteForceSampler``, 5.0).

    Args:
        choices: the choices of each dimension.
        seed: shuffles the order; None to go through the choices in their own.
        before: the trials that count and came before a trial.
    """

    def __init__(self, choices: Mapping[str, Sequence[str]], seed: int | None, before: Before) -> None:
        self._choices, self._before = choices, before
        self._size = prod(map(len, choices.values()))
        self._stride, self._start = (1, 0) if seed is None else _shuffled(self._size, seed)
        self._next: Mapping[str, str] = {}

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        taken = {frozenset(each.params.items()) for each in self._before(study, trial)}
        fitting = (made for made in self._all() if trial.params.items() <= made.items())
        free = (made for made in fitting if frozenset(made.items()) not in taken)
        self._next = next(free, next(self._all()))

    def _all(self) -> Iterator[dict[str, str]]:
        for i in range(self._size):
            place = (self._start + i * self._stride) % self._size
            made: dict[str, str] = {}
            for name, texts in reversed(list(self._choices.items())):
                place, digit = divmod(place, len(texts))
                made[name] = texts[digit]
            yield made

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._next[param_name]


def _shuffled(size: int, seed: int) -> tuple[int, int]:
    """A stride that meets every number below ``size``, and where to start."""
    numbers = Random(seed)
    stride = numbers.randrange(size)
    while gcd(stride, size) != 1:
        stride += 1
    return stride, numbers.randrange(size)

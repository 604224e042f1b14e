"""Samplers by name. Whatever decides the next trial is optuna's; here it only gets its seed."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import (
    BaseSampler,
    BruteForceSampler,
    GridSampler,
    NSGAIISampler,
    RandomSampler,
    TPESampler,
)

from mase.ir.diagnostics import UsageError

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial, TrialState

__all__ = ["SeededByTrial", "make_sampler"]

_LARGEST_GRID = 1_000_000
_POPULATION = 16

_MAKERS: dict[str, Callable[[int], BaseSampler]] = {
    "tpe": lambda seed: TPESampler(seed=seed, multivariate=True),
    "nsga2": lambda seed: NSGAIISampler(seed=seed, population_size=_POPULATION),
    "random": lambda seed: RandomSampler(seed=seed),
    "brute_force": lambda seed: BruteForceSampler(seed=seed),
}


def make_sampler(
    name: str, seed: int, choices: Mapping[str, Sequence[str]], index: Callable[[Study, FrozenTrial], int]
) -> BaseSampler:
    """The sampler of this name.

    Args:
        name: ``tpe``, ``nsga2``, ``random``, ``grid`` or ``brute_force``.
        seed: seeds it.
        choices: the choices of each dimension.
        index: how many trials count before a trial.

    Raises:
        UsageError: if a grid is asked for that has too many points to list.
    """
    if name != "grid":
        return SeededByTrial(_MAKERS[name], seed, index)
    size = 1
    for each in choices.values():
        size *= len(each)
    if size > _LARGEST_GRID:
        raise UsageError.of(
            f"the space has {size:.3g} configurations, too many for a grid",
            help='make it smaller, or choose sampler = "tpe"',
        )
    return GridSampler(choices, seed=seed)


class SeededByTrial(BaseSampler):
    """Makes a sampler anew for each trial, seeded by how many trials there were before.

    So a search that was cut off goes on as if it had not been, and two processes that join one study
    do not draw the same numbers.

    Args:
        make: makes the sampler from a seed.
        seed: the user's.
        index: how many trials count before a trial.
    """

    def __init__(
        self, make: Callable[[int], BaseSampler], seed: int, index: Callable[[Study, FrozenTrial], int]
    ) -> None:
        self._make, self._seed, self._index = make, seed, index
        self._inner = self._made(0)

    def _made(self, index: int) -> BaseSampler:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return self._make((self._seed * 1_000_003 + index) % 2**32)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._inner = self._made(self._index(study, trial))
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

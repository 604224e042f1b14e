"""Several processes that run one command together: one of them leads, and alone writes and speaks."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager

__all__ = ["is_leader", "told"]

_RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")


def is_leader() -> bool:
    """Whether this process speaks for those that train together; by itself, it does.

    Lightning starts the others as copies of the command, torchrun and SLURM start all of them alike; each
    says in its environment which one it is.

    Example:
        >>> is_leader()
        True
    """
    return all(os.environ.get(name, "0") == "0" for name in _RANKS)


@contextmanager
def told(name: str, find: Callable[[], str], *, otherwise: str) -> Generator[str]:
    """What the process that the user started has found, for it and for those that it starts meanwhile.

    A launcher such as torchrun starts all alike; what one of them finds, others may find changed, so nobody
    looks.

    Args:
        name: of the environment variable that carries it.
        find: looks, in the first process alone.
        otherwise: what holds where a launcher has started this one.

    Example:
        >>> with told("MASE_FOUND", lambda: "this", otherwise="unknown") as found:
        ...     with told("MASE_FOUND", lambda: "that", otherwise="unknown") as heard:  # in a helper
        ...         found, heard
        ('this', 'this')
    """
    if name in os.environ:
        yield os.environ[name]
        return
    started_alone = not any(rank in os.environ for rank in _RANKS)
    os.environ[name] = find() if started_alone else otherwise
    try:
        yield os.environ[name]
    finally:
        del os.environ[name]

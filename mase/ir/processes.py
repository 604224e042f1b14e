"""Several processes that run one command together: one of them leads, and alone writes and speaks."""

from __future__ import annotations

import os

__all__ = ["is_leader"]

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

"""What training may disturb, put back afterwards: random generators, threads, warnings, modes."""

from __future__ import annotations

import logging
import random
import warnings
from collections.abc import Generator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

__all__ = ["preserved", "quiet", "seed_everything", "seeded", "threads"]

SMALL_BATCH = 1e9
"""Operations in the forward pass of a batch below which waking a second thread costs more than it saves."""

_CHATTY = ("pytorch_lightning", "lightning_fabric", "lightning")
_CHATTER = (
    ".*does not have many workers.*",  # data that fit in memory load fastest without workers
    ".*is smaller than the logging interval.*",
    ".*sampler has shuffling enabled.*",  # the order does not matter when measuring the training split
    ".*GPU available but not used.*",
    ".*LeafSpec.*is deprecated.*",  # between Lightning and torch
    ".*pin_memory.*no accelerator.*",
    ".*does not have a deterministic implementation.*",  # asked for where there is one
    ".*It is recommended to use .*sync_dist=True.*",  # the metrics are of all processes already
    ".*using `DistributedSampler` with the dataloaders.*",  # ours repeats no sample
    ".*DeepSpeed handles gradient clipping internally.*",  # by the norm, as it is told
    ".*We cannot determine which one is the default.*",  # between torch's own parts, as the next ones
    ".*_get_pg_default_device.*",
    ".*Please use DTensor instead.*",
    ".*lr_scheduler.step.*before.*optimizer.step.*",  # a skipped step of 16-mixed
)


@contextmanager
def quiet() -> Generator[None]:
    """Hides what Lightning says about itself and advice that does not apply; other warnings pass."""
    loggers = [logging.getLogger(name) for name in _CHATTY]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for message in _CHATTER:
            warnings.filterwarnings("ignore", message=message)
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def seed_everything(seed: int, epoch: int = 0) -> None:
    """Seeds torch, numpy and Python for one epoch, so that an epoch's noise is independent of its past."""
    mixed = (seed * 1_000_003 + epoch) % 2**32
    torch.manual_seed(mixed)  # pyright: ignore[reportUnknownMemberType]
    np.random.seed(mixed)
    random.seed(mixed)


@contextmanager
def seeded(seed: int) -> Generator[None]:
    """Seeds every generator, and gives the caller's back afterwards."""
    python, numpy = random.getstate(), np.random.get_state()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    with torch.random.fork_rng():  # pyright: ignore[reportUnknownMemberType]
        seed_everything(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
            # Lightning switches this on for the whole process.
            torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)


@contextmanager
def threads(count: int | None, *, work: float) -> Generator[None]:
    """Sets how many CPU threads torch uses.

    Args:
        count: how many; None to choose by ``work``, which is the same on every machine.
        work: floating-point operations in the forward pass of one batch. Below a billion one thread is used:
            on a busy machine small batches run up to ten times faster so, and sums do not depend on the
            number of cores.

    Example:
        >>> with threads(None, work=1e6):
        ...     torch.get_num_threads()
        1
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count or (1 if work < SMALL_BATCH else before))
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def preserved(module: nn.Module) -> Generator[None]:
    """Gives a module back in the modes, number types and devices that it came with; values may change.

    Lightning converts modules in place where the precision says so (``"64-true"``), and moves them.
    """
    modes = [(part, part.training) for part in module.modules()]
    tensors = [*module.parameters(), *module.buffers()]
    kinds = [(tensor.dtype, tensor.device) for tensor in tensors]
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
        for tensor, (dtype, device) in zip(tensors, kinds, strict=True):
            tensor.data = tensor.data.to(dtype=dtype, device=device)

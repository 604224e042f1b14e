"""Three splits out of those that a source has, the same on every machine and for every seed of the user."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mase.ir.diagnostics import MaseError, did_you_mean

__all__ = ["SPLITS", "cut_off", "drawn", "missing_shares", "named_splits"]

T = TypeVar("T")

SPLITS = ("train", "val", "test")
_SHARE = 0.1
_SEED = 0  # part of the definition: the splits never depend on the user's seed
_ALIASES = {"val": ("validation", "val", "valid", "dev"), "train": ("train",), "test": ("test",)}


def named_splits(rows: Mapping[str, T], chosen: Mapping[str, str]) -> dict[str, T]:
    """Those of the splits ``train``, ``val`` and ``test`` that the source has; ``train`` always.

    Args:
        rows: what the source has, by its own names.
        chosen: which of them is which of ours, where that is not plain from its name.

    Raises:
        MaseError: if a split that was asked for does not exist, or there is none to train on.

    Example:
        >>> named_splits({"train": 1, "dev": 2, "extra": 3}, {"test": "extra"})
        {'train': 1, 'val': 2, 'test': 3}
    """
    for split, name in chosen.items():
        if split not in SPLITS:
            raise MaseError.of(f"[data] splits: no split {split!r}", help=did_you_mean(split, SPLITS))
        if name not in rows:
            raise MaseError.of(f"[data] splits: the data have no {name!r}", help=did_you_mean(name, rows))
    names = {split: chosen.get(split) or _named(split, rows, chosen) for split in SPLITS}
    found = {split: rows[name] for split, name in names.items() if name is not None}
    if "train" not in found:
        raise MaseError.of(
            f"the data have no training split but {', '.join(rows)}",
            help='name one: splits = { train = "..." } under [data]',
        )
    return found


def missing_shares(found: Iterable[str], shares: Mapping[str, float]) -> dict[str, float]:
    """The share of the training split that becomes ``test`` and ``val`` where they are missing.

    Args:
        found: the splits that there are.
        shares: what the user says; a tenth by default.

    Raises:
        MaseError: if a share is out of range or for a split that is there.
    """
    found = set(found)
    for split, share in shares.items():
        if split in found:
            raise MaseError.of(
                f"[data] shares: the data have a {split} split, so none is drawn for it",
                help=f"leave shares.{split} out, or choose another split with splits",
            )
        if not 0 < share < 1:
            raise MaseError.of(f"[data] shares: {split} is {share!r}", help="a share is between 0 and 1")
    return {split: shares.get(split, _SHARE) for split in ("test", "val") if split not in found}


def drawn(found: Mapping[str, Any], shares: Mapping[str, float]) -> dict[str, Any]:
    """Three splits of rows: what is missing is drawn from the training rows at random, always the same.

    Args:
        found: ``datasets.Dataset`` by split.
        shares: as for `missing_shares`.

    Raises:
        MaseError: as `missing_shares`, or if nothing is left to train on.
    """
    splits, train = dict(found), found["train"]
    order = np.random.RandomState(_SEED).permutation(len(train))  # its stream never changes
    for split, share in missing_shares(found, shares).items():
        count = max(1, round(len(train) * share))
        splits[split], order = train.select(np.sort(order[:count])), order[count:]
    if len(order) == 0:
        raise MaseError.of(
            f"{len(train)} rows are too few to draw splits from", help="name files for each split"
        )
    splits["train"] = train if len(order) == len(train) else train.select(np.sort(order))
    return splits


def cut_off(found: Mapping[str, NDArray[Any]], shares: Mapping[str, float]) -> dict[str, NDArray[Any]]:
    """Three splits of one long text: what is missing is the end of the training text.

    Args:
        found: tokens by split.
        shares: as for `missing_shares`.

    Raises:
        MaseError: as `missing_shares`.

    Example:
        >>> {k: v.tolist() for k, v in cut_off({"train": np.arange(10)}, {"val": 0.2}).items()}
        {'train': [0, 1, 2, 3, 4, 5, 6], 'test': [9], 'val': [7, 8]}
    """
    splits = dict(found)
    total = len(splits["train"])
    for split, share in missing_shares(found, shares).items():
        at = len(splits["train"]) - max(1, round(total * share))
        splits["train"], splits[split] = splits["train"][:at], splits["train"][at:]
    return splits


def _named(split: str, rows: Mapping[str, Any], chosen: Mapping[str, str]) -> str | None:
    taken = set(chosen.values())
    return next((name for name in _ALIASES[split] if name in rows and name not in taken), None)

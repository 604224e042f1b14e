"""Whole entities in rows of tags: what they are, and how many of them a model finds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torchmetrics import Metric

from mase.runtime.tasks.tokens import IGNORED

__all__ = ["EntityF1", "are_tags", "entities"]

Entity = tuple[str, int, int]
"""Its kind, and its first and last word."""


def are_tags(labels: Sequence[str]) -> bool:
    """Whether labels mark entities: ``O`` outside of them, ``B-``, ``I-``, ``E-``, ``S-`` and a kind within.

    Example:
        >>> are_tags(["O", "B-PER", "I-PER"]), are_tags(["NOUN", "VERB"]), are_tags(["O"])
        (True, False, False)
    """
    return all(re.fullmatch(r"O|[BIES](-.+)?", label) for label in labels) and set(labels) > {"O"}


def entities(tags: Sequence[str]) -> set[Entity]:
    """The entities that tags mark, by the rules of CoNLL's evaluation: also where none begins with ``B-``.

    An entity begins at ``B``, ``S``, or where its kind is another or nothing that goes on was before.

    Args:
        tags: of the words of one text, in IOB1, IOB2 (BIO), IOE or IOBES (BILOU by other letters).

    Example:
        >>> sorted(entities(["B-PER", "I-PER", "O", "I-LOC", "B-LOC"]))
        [('LOC', 3, 3), ('LOC', 4, 4), ('PER', 0, 1)]
    """
    found: set[Entity] = set()
    before, kind, start = "O", "", 0
    for at, tag in enumerate([*tags, "O"]):
        part, _, own = tag.partition("-")
        begins = part in ("B", "S") or (part != "O" and (before in ("O", "E", "S") or own != kind))
        if before != "O" and (begins or part == "O"):
            found.add((kind, start, at - 1))
        if begins:
            kind, start = own, at
        before = part
    return found


class EntityF1(Metric):
    """The harmonic mean of precision and recall over whole entities of all kinds together, 0 to 1.

    An entity counts as found if its kind and both of its ends are right: what the package seqeval calls the
    micro average.

    Args:
        labels: the tags by number.

    Example:
        >>> score = EntityF1(["O", "B-PER", "I-PER"])
        >>> score.update(torch.tensor([[1, 2, 0, 1]]), torch.tensor([[1, 2, -100, 0]]))
        >>> score.compute()
        tensor(0.6667)
    """

    full_state_update = False
    higher_is_better = True

    def __init__(self, labels: Sequence[str]) -> None:
        super().__init__()
        self.labels = tuple(labels)
        for count in ("right", "found", "wanted"):
            cast(Any, self).add_state(count, torch.tensor(0), dist_reduce_fx="sum")
        self.right: Tensor
        self.found: Tensor
        self.wanted: Tensor

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Takes labels in, both of shape (samples, tokens); where the target is -100 there is no word."""
        right = found = wanted = 0
        for row, reference in zip(prediction.cpu(), target.cpu(), strict=True):
            ours, theirs = (self._entities(labels[reference != IGNORED]) for labels in (row, reference))
            right, found, wanted = right + len(ours & theirs), found + len(ours), wanted + len(theirs)
        self.right += right
        self.found += found
        self.wanted += wanted

    def _entities(self, labels: Tensor) -> set[Entity]:
        return entities([self.labels[int(number)] for number in labels])

    def compute(self) -> Tensor:
        """The score so far; 0 where there is no entity at all."""
        return 2 * self.right / (self.found + self.wanted).clamp_min(1)

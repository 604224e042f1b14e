"""What language models share: the loss of a token, and how surprised they are by one on average."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torchmetrics import Metric

from mase.runtime.tasks.base import Step, Task
from mase.runtime.tasks.fine_tuning import FINE_TUNING
from mase.runtime.tasks.inputs import split_batch
from mase.runtime.tasks.meter import MeanLoss
from mase.runtime.tasks.outputs import logits_of
from mase.runtime.tasks.tokens import check_tokens, token_loss

__all__ = ["LanguageModel", "Perplexity"]


class Perplexity(MeanLoss):
    """The exponential of the mean loss of a token, over all tokens and not over batches.

    Takes mean losses and the number of tokens that each is of, and so needs no logits: those of a large
    vocabulary are not copied once more.

    Example:
        >>> import torch
        >>> perplexity = Perplexity()
        >>> perplexity.update(torch.tensor(1.0), 3)
        >>> perplexity.update(torch.tensor(5.0), 1)
        >>> perplexity.compute()
        tensor(7.3891)
    """

    def compute(self) -> Tensor:
        """The perplexity so far."""
        return super().compute().exp()


class LanguageModel(Task):
    """Base of the tasks that predict tokens; a subclass says which logits are for which label."""

    defaults = FINE_TUNING

    @abstractmethod
    def aligned(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The logits and the labels that they are to predict, place by place.

        Args:
            logits: (samples, tokens, vocabulary).
            labels: (samples, tokens).
        """

    def metrics(self) -> Mapping[str, Metric]:
        return {"perplexity": Perplexity()}

    def step(self, batch: Any) -> Step:
        inputs, labels = split_batch(batch)
        logits, labels = self.aligned(logits_of(self.call(inputs)), labels)
        loss, rows, targets = token_loss(logits, labels)
        return Step(loss, loss.detach(), len(targets), size=len(targets), logits=rows)

    def check(self, batch: Any, probe: Any) -> None:
        inputs, few = split_batch(probe)
        check_tokens(logits_of(self.call(inputs)), few, split_batch(batch)[1])

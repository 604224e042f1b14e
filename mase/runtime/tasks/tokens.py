"""Cross-entropy over the tokens that count: what language models and taggers share."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mase.ir.diagnostics import MaseError
from mase.runtime.tasks.outputs import at_least_float32

__all__ = ["IGNORED", "check_tokens", "token_loss"]

IGNORED = -100
"""The label of a token that neither the loss nor a metric counts."""


def token_loss(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The mean loss over the tokens that count, in float32 at least.

    Args:
        logits: (samples, tokens, classes).
        labels: (samples, tokens); -100 for a token that does not count.

    Returns:
        The loss, 0 if nothing counts; the logits (counted tokens, classes); and their labels.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[[0.0, 0.0], [9.0, 0.0]]])
        >>> loss, rows, targets = token_loss(logits, torch.tensor([[1, -100]]))
        >>> round(float(loss), 4), rows.shape, targets
        (0.6931, torch.Size([1, 2]), tensor([1]))
    """
    rows, targets = logits.flatten(0, 1), labels.flatten()
    counted = targets != IGNORED
    if not bool(counted.all()):
        rows, targets = rows[counted], targets[counted]
    rows = at_least_float32(rows)
    loss = F.cross_entropy(rows, targets) if len(targets) else rows.sum() * 0
    return loss, rows, targets


def check_tokens(logits: Tensor, few: Tensor, labels: Tensor) -> None:
    """Say so if a model's output does not fit the labels.

    Args:
        logits: what the model returned for some samples.
        few: the labels of those samples.
        labels: those of the whole batch.

    Raises:
        MaseError: if there is no row of logits for each token, or a label has no logit.
    """
    if logits.ndim != 3 or logits.shape[:2] != few.shape:
        raise MaseError.of(
            f"the model returns shape {tuple(logits.shape)} for {tuple(few.shape)} tokens",
            help='give it a head for tokens: [model] task = "causal-lm", "masked-lm", "token-classification"',
        )
    highest = int(labels.max())
    if highest >= logits.shape[2]:
        raise MaseError.of(
            f"the model has {logits.shape[2]} outputs for a token, but a label of the data is {highest}",
            help="take the model's own tokenizer, or give it as many outputs as the data have labels",
        )

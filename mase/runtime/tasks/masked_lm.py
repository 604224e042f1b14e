"""``masked-lm``: which tokens are hidden?"""

from __future__ import annotations

from torch import Tensor

from mase.runtime.tasks import register_task
from mase.runtime.tasks.language import LanguageModel

__all__ = ["MaskedLM"]


@register_task("masked-lm")
class MaskedLM(LanguageModel):
    """Cross-entropy of the hidden tokens; reports the loss and the perplexity of a hidden token.

    A batch holds ``input_ids``, ``attention_mask`` and ``labels`` (samples, tokens): the true token where the
    data set chose to hide it, else -100.
    """

    def aligned(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        return logits, labels

"""``causal-lm``: which token comes next?"""

from __future__ import annotations

from torch import Tensor

from mase.runtime.tasks import register_task
from mase.runtime.tasks.language import LanguageModel

__all__ = ["CausalLM"]


@register_task("causal-lm", "lm", "language_modeling")
class CausalLM(LanguageModel):
    """Cross-entropy of each token given those before it; reports the loss and the perplexity of a token.

    A batch holds ``input_ids`` and ``labels`` (samples, tokens): the same tokens where they count, and -100
    where not.
    """

    def aligned(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        return logits[:, :-1], labels[:, 1:]

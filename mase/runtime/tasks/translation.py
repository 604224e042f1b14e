"""``translation``: what is this text in another language?"""

from __future__ import annotations

from mase.runtime.tasks import register_task
from mase.runtime.tasks.seq2seq import SequenceToSequence

__all__ = ["Translation"]


@register_task("translation")
class Translation(SequenceToSequence):
    """Sequence to sequence, measured by BLEU and chrF of sacrebleu (0 to 100)."""

    scores = ("bleu", "chrf")

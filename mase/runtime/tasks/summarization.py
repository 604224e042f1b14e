"""``summarization``: what does this text say in short?"""

from __future__ import annotations

from mase.runtime.tasks import register_task
from mase.runtime.tasks.seq2seq import SequenceToSequence

__all__ = ["Summarization"]


@register_task("summarization")
class Summarization(SequenceToSequence):
    """Sequence to sequence, measured by ROUGE-1, ROUGE-2 and ROUGE-L (F-measures, 0 to 1)."""

    scores = ("rouge1", "rouge2", "rougeL")

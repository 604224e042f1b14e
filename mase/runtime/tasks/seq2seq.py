"""``seq2seq``: which sequence belongs to this one? Learnt token by token, measured on what is generated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, cast

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torchmetrics import Metric

from mase.ir.diagnostics import MaseError, did_you_mean
from mase.runtime.tasks import register_task
from mase.runtime.tasks.base import SPLITS, Split, Step, Task
from mase.runtime.tasks.fine_tuning import FINE_TUNING
from mase.runtime.tasks.inputs import split_batch
from mase.runtime.tasks.outputs import at_least_float32, logits_of
from mase.runtime.tasks.text_scores import CorpusScore
from mase.runtime.tasks.tokens import IGNORED, check_tokens
from mase.runtime.training.config import TrainConfig
from mase.runtime.training.strategies import shards_model

if TYPE_CHECKING:
    from transformers import GenerationConfig

    from mase.runtime.generation import Decoder

__all__ = ["SequenceToSequence", "TokenAccuracy"]


class TokenAccuracy(Metric):
    """The share of target tokens that are the likeliest after the right ones before them, 0 to 1.

    Example:
        >>> accuracy = TokenAccuracy()
        >>> accuracy.update(torch.tensor([[3, 4, 9]]), torch.tensor([[3, 5, -100]]))
        >>> accuracy.compute()
        tensor(0.5000)
    """

    full_state_update = False
    higher_is_better = True

    def __init__(self) -> None:
        super().__init__()
        add_state = cast(Any, self).add_state
        add_state("right", torch.tensor(0), dist_reduce_fx="sum")
        add_state("all", torch.tensor(0), dist_reduce_fx="sum")
        self.right: Tensor
        self.all: Tensor

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Takes the likeliest tokens and the right ones in; -100 does not count."""
        self.right += (prediction == target).sum()
        self.all += (target != IGNORED).sum()

    def compute(self) -> Tensor:
        """The share so far."""
        return self.right / self.all


@register_task("seq2seq", "seq2seq-lm")
class SequenceToSequence(Task):
    """Cross-entropy of the target's tokens; scores of the sequences that the model generates.

    A batch holds what the model takes (``input_ids``, ``attention_mask``, ``decoder_input_ids``), ``labels``
    (samples, target tokens; -100 where nothing counts) and ``references``, the texts to compare with. The
    loss and the token accuracy are those of a decoder that is given the right tokens so far; on the splits
    that generate (validation and test unless the data say otherwise) the scores of the generated texts join.

    Args:
        model: from the inputs to logits of shape (samples, target tokens, vocabulary).
        config: how to train it.
        data: a data module with ``tokenizer`` and, if they are not to be the defaults, ``metrics`` (names of
            scores), ``generate`` (whether, or on which splits) and ``generation`` (options of the search).

    Raises:
        MaseError: if the data have no tokenizer, or name a score, split or option that does not exist.
    """

    defaults = FINE_TUNING
    smooths_labels = True
    scores: ClassVar[Sequence[str]] = ("wer", "exact")
    """What is measured unless the data say."""

    def __init__(self, model: nn.Module, config: TrainConfig, data: pl.LightningDataModule) -> None:
        self.tokenizer: Any = getattr(data, "tokenizer", None)
        if self.tokenizer is None:
            raise MaseError.of(
                f"data module {type(data).__name__} has no tokenizer to make texts of tokens with",
                help="give it an attribute `tokenizer`",
            )
        self.generating = _generating(getattr(data, "generate", True))
        self._names: Sequence[str] = (
            (getattr(data, "metrics", None) or self.scores) if self.generating else ()
        )
        super().__init__(model, config, data)
        self._decoder: Decoder | None = None
        monitored = self.monitored[0].removeprefix("val/")
        if monitored in self._names and "val" not in self.generating:
            raise MaseError.of(
                f"{monitored} cannot choose the best epoch, for the validation split does not generate",
                help='add "val" to [data] generate, or monitor val/loss',
            )

    def metrics(self) -> Mapping[str, Metric]:
        return {"token_accuracy": TokenAccuracy(), **{name: CorpusScore(name) for name in self._names}}

    def step(self, batch: Any) -> Step:
        inputs, labels = split_batch(batch)
        logits = logits_of(self.call(inputs))
        counted = labels != IGNORED
        rows, targets = at_least_float32(logits[counted]), labels[counted]
        loss = F.cross_entropy(rows, targets, label_smoothing=self.label_smoothing)
        prediction, target = {"token_accuracy": logits.argmax(-1)}, {"token_accuracy": labels}
        return Step(loss, prediction, target, size=len(targets), logits=rows)

    def evaluation_step(self, batch: Any) -> Step:
        step = self.step(batch)
        if self._split not in self.generating:
            return step
        references: list[str] = batch["references"]
        texts = self.generate(batch)
        prediction = {**step.prediction, **dict.fromkeys(self._names, texts)}
        target = {**step.target, **dict.fromkeys(self._names, references)}
        return Step(step.loss, prediction, target, size=step.size, logits=step.logits)

    def generate(self, batch: Mapping[str, Any]) -> list[str]:
        """What the model writes for the sources of a batch, each after the token that its target starts with.

        Raises:
            MaseError: if the model is no lowered graph with the input ``decoder_input_ids``.
        """
        tensors = {name: value for name, value in batch.items() if isinstance(value, Tensor)}
        start = batch["decoder_input_ids"][:, :1]
        tokens = self.decoder.search(tensors, start, self.search)
        texts: list[str] = self.tokenizer.batch_decode(tokens[:, 1:], skip_special_tokens=True)
        return texts

    @property
    def decoder(self) -> Decoder:
        """Generates with the model; made once for each pass over a split."""
        if self._decoder is None:
            from mase.runtime.generation import Decoder

            if not isinstance(self.model, fx.GraphModule):
                raise MaseError.of(
                    f"only a lowered graph generates, and the model is {type(self.model).__name__}",
                    help="capture and lower it: mase.lower(mase.trace(model, ...))",
                )
            # No submodule: its weights are the model's.
            object.__setattr__(self, "_decoder", Decoder(self.model).eval())
        return cast("Decoder", self._decoder)

    @cached_property
    def search(self) -> GenerationConfig:
        """How sequences are searched for.

        Raises:
            MaseError: if an option does not exist or cannot be meant.
        """
        from mase.runtime.generation import generation_config

        ids = {
            name: getattr(self.tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")
        }
        return generation_config(getattr(self.data, "generation", {}), **ids)

    def check(self, batch: Any, probe: Any) -> None:
        inputs, few = split_batch(probe)
        check_tokens(logits_of(self.call(inputs)), few, split_batch(batch)[1])
        if self.generating and "references" not in batch:
            raise MaseError.of(
                "the batch has no `references`, the texts that generated ones are compared with",
                help="have the data module's collate add them, or set its `generate` to False",
            )
        if self.generating and shards_model(self.config.strategy):
            raise MaseError.of(
                f"a model generates in one process, and {self.config.strategy!r} gives each a part of it",
                help='use "ddp", or set [data] generate = false and measure the result in one process',
            )
        if self.generating:
            self._check_length(probe)

    def _check_length(self, probe: Any) -> None:
        """Run on the longest target that generation may reach: a table of positions may end before."""
        longest = cast(Any, self.search).max_new_tokens
        if longest is None:
            return
        inputs: dict[str, Any] = dict(split_batch(probe)[0])
        one = {name: value[:1] for name, value in inputs.items() if isinstance(value, Tensor)}
        try:
            self.call({**one, "decoder_input_ids": one["decoder_input_ids"][:, :1].expand(1, longest)})
        except (IndexError, RuntimeError) as error:
            raise MaseError.of(
                f"the model does not run on targets of {longest} tokens, which generation may reach: {error}",
                help="set [data] max_target_len, or generation = { max_new_tokens = ... }, to fewer",
            ) from error

    def on_validation_epoch_start(self) -> None:
        self._decoder = None  # the model may have been moved since

    def on_test_epoch_start(self) -> None:
        self._decoder = None

    @property
    def _split(self) -> Split:
        return self.evaluated if self.trainer.testing else "val"


def _generating(said: object) -> frozenset[str]:
    """The splits that generate."""
    if isinstance(said, bool):
        return frozenset(("val", "test") if said else ())
    named = cast("Sequence[str]", [said] if isinstance(said, str) else said)
    for split in named:
        if split not in SPLITS:
            raise MaseError.of(f"[data] generate: no split {split!r}", help=did_you_mean(split, SPLITS))
    return frozenset(named)
